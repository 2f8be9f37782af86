output "group_name" {
  description = "The Auto Scaling group."
  value       = aws_autoscaling_group.this.name
}

output "security_group_id" {
  description = "Security group of the workers."
  value       = aws_security_group.workers.id
}

output "log_group_name" {
  description = "Where the workers' logs are."
  value       = aws_cloudwatch_log_group.this.name
}

output "metrics_namespace" {
  description = "Where the workers' metrics are, in CloudWatch."
  value       = local.metrics_namespace
}

output "settings" {
  description = "What the worker is told in its environment; nothing of it is secret."
  value       = local.settings
}

output "user_data" {
  description = "What a machine is told at boot; nothing of it is secret."
  value       = local.user_data
}
