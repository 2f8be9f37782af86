output "workers_secret_arn" {
  description = "What the workers read."
  value       = aws_secretsmanager_secret.workers.arn

  # Not before there is something in it.
  depends_on = [aws_secretsmanager_secret_version.workers]
}

output "servers_secret_arn" {
  description = "What the ensemble reads."
  value       = aws_secretsmanager_secret.servers.arn

  # Not before there is something in it.
  depends_on = [aws_secretsmanager_secret_version.servers]
}
