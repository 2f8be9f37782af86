# MemoryDB: the same promise, built in, and on machines as small as t4g.

resource "aws_memorydb_subnet_group" "this" {
  count = local.elasticache ? 0 : 1

  name       = "${var.name}-log"
  subnet_ids = var.subnet_ids
}

resource "aws_memorydb_parameter_group" "this" {
  count = local.elasticache ? 0 : 1

  name   = "${var.name}-log-valkey7"
  family = "memorydb_valkey7"

  parameter {
    name  = "maxmemory-policy"
    value = "noeviction"
  }
}

resource "aws_memorydb_user" "worker" {
  count = local.elasticache ? 0 : 1

  user_name     = "${var.name}-worker"
  access_string = local.rights

  authentication_mode {
    type = "iam"
  }
}

# Whoever is in no list cannot come in: there is no open default user in a list of one's own.
resource "aws_memorydb_acl" "this" {
  count = local.elasticache ? 0 : 1

  name       = "${var.name}-log"
  user_names = [aws_memorydb_user.worker[0].user_name]
}

resource "aws_memorydb_cluster" "this" {
  count = local.elasticache ? 0 : 1

  name                 = "${var.name}-log"
  description          = "${var.name}: message log"
  engine               = "valkey"
  engine_version       = "7.3"
  node_type            = local.node_type
  port                 = 6379
  parameter_group_name = aws_memorydb_parameter_group.this[0].name

  num_shards             = var.shards
  num_replicas_per_shard = var.replicas

  subnet_group_name  = aws_memorydb_subnet_group.this[0].name
  security_group_ids = [aws_security_group.log.id]
  tls_enabled        = true
  kms_key_arn        = var.kms_key_arn
  acl_name           = aws_memorydb_acl.this[0].name

  snapshot_retention_limit   = var.snapshot_days
  snapshot_window            = "02:00-04:00"
  maintenance_window         = "sun:04:30-sun:06:00"
  auto_minor_version_upgrade = true
  final_snapshot_name        = "${var.name}-log-final"
}
