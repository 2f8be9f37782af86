output "workers_secret_arn" {
  description = "What the workers read."
  value       = aws_secretsmanager_secret.workers.arn
}

output "servers_secret_arn" {
  description = "What the ensemble reads."
  value       = aws_secretsmanager_secret.servers.arn
}
