# What workers and ensemble need to trust each other. The values are write-only: they pass through Terraform, and neither
# plan nor state has them. Each side can read only its own; machines fetch them at boot, by their role.

resource "aws_secretsmanager_secret" "workers" {
  # checkov:skip=CKV2_AWS_57:Password and certificates change on both sides at once: docs/aws.md tells how, a Lambda cannot.
  name_prefix             = "${var.name}/zookeeper/workers-"
  description             = "What a worker shows to ZooKeeper: password, CA, certificate, key"
  kms_key_id              = var.kms_key_arn
  recovery_window_in_days = 7
}

resource "aws_secretsmanager_secret_version" "workers" {
  secret_id                = aws_secretsmanager_secret.workers.id
  secret_string_wo_version = var.secrets_version

  secret_string_wo = var.zookeeper == null ? null : jsonencode({
    password = var.zookeeper.password
    ca       = var.zookeeper.ca
    cert     = var.zookeeper.worker_cert
    key      = var.zookeeper.worker_key
  })
}

resource "aws_secretsmanager_secret" "servers" {
  # checkov:skip=CKV2_AWS_57:As for the workers: both sides change at once.
  name_prefix             = "${var.name}/zookeeper/servers-"
  description             = "What a server of the ensemble needs: the workers' password, CA, certificate with key"
  kms_key_id              = var.kms_key_arn
  recovery_window_in_days = 7
}

resource "aws_secretsmanager_secret_version" "servers" {
  secret_id                = aws_secretsmanager_secret.servers.id
  secret_string_wo_version = var.secrets_version

  secret_string_wo = var.zookeeper == null ? null : jsonencode({
    password = var.zookeeper.password
    ca       = var.zookeeper.ca
    server   = var.zookeeper.server
  })
}
