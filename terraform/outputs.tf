output "url" {
  description = "Where the chat is."
  value       = coalesce(local.public_url, "${var.certificate_arn == null ? "http" : "https"}://${module.balancer.dns_name}")
}

output "balancer_dns_name" {
  description = "AWS' own name of the balancer: point your name's CNAME at it when domain is null."
  value       = module.balancer.dns_name
}

output "workers_group_name" {
  description = "Auto Scaling group of the workers."
  value       = module.workers.group_name
}

output "workers_log_group_name" {
  description = "CloudWatch log group of the workers."
  value       = module.workers.log_group_name
}

output "zookeeper_servers" {
  description = "Name and address of each server of the ensemble, as scripts/zookeeper-secrets.sh takes them."
  value       = module.ensemble.servers
}

output "zookeeper_instance_ids" {
  description = "Machines of the ensemble, by place: for Session Manager."
  value       = module.ensemble.instance_ids
}

output "archive_table_name" {
  description = "DynamoDB table that keeps everything for good."
  value       = module.archive.table_name
}

output "files_bucket" {
  description = "S3 bucket of attachments and exports."
  value       = module.files.bucket
}

output "alarm_topic_arn" {
  description = "SNS topic of the alarms: subscribe your pager."
  value       = module.alarms.topic_arn
}

output "dashboard_name" {
  description = "CloudWatch dashboard."
  value       = module.alarms.dashboard_name
}

output "nat_addresses" {
  description = "Addresses from which the stack calls the world."
  value       = module.network.nat_addresses
}
