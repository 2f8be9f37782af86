output "url" {
  description = "Where the chat is."
  value       = module.chat.url
}

output "workers_group_name" {
  description = "Auto Scaling group of the workers."
  value       = module.chat.workers_group_name
}

output "zookeeper_servers" {
  description = "What scripts/zookeeper-secrets.sh takes."
  value       = module.chat.zookeeper_servers
}

output "balancer_dns_name" {
  description = "For a CNAME of your own."
  value       = module.chat.balancer_dns_name
}

output "dashboard_name" {
  description = "CloudWatch dashboard."
  value       = module.chat.dashboard_name
}
