output "hosts" {
  description = "DCHAT_ZOOKEEPER."
  value       = "${join(",", [for place in sort(keys(local.names)) : "${local.names[place]}:${local.tls_port}"])}/${var.name}"
}

output "servers" {
  description = "Names and addresses, as scripts/zookeeper-secrets.sh takes them."
  value       = [for place in sort(keys(local.names)) : "${local.names[place]}=${local.addresses[place]}"]
}

output "instance_ids" {
  description = "The machines, by place."
  value       = { for place, server in aws_instance.server : place => server.id }
}

output "tls_port" {
  description = "Where workers connect to."
  value       = local.tls_port
}

output "security_group_id" {
  description = "Security group of the servers."
  value       = aws_security_group.ensemble.id
}

output "user_data" {
  description = "What each machine is told at boot, by place; nothing of it is secret."
  value       = local.user_data
}
