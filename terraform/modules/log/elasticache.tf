# ElastiCache for Valkey with synchronous durability: a write is answered when a transaction log over two zones has it.
# The service asks for cluster mode, Multi-AZ, a replica and TLS; durability can be chosen only when the cluster is made.

resource "aws_elasticache_subnet_group" "this" {
  count = local.elasticache ? 1 : 0

  name       = "${var.name}-log"
  subnet_ids = var.subnet_ids
}

resource "aws_elasticache_parameter_group" "this" {
  count = local.elasticache ? 1 : 0

  name   = "${var.name}-log-valkey9"
  family = "valkey9"

  parameter {
    name  = "cluster-enabled"
    value = "yes"
  }

  # A full log says so and takes no more; it never throws messages away.
  parameter {
    name  = "maxmemory-policy"
    value = "noeviction"
  }
}

resource "aws_elasticache_user" "worker" {
  count = local.elasticache ? 1 : 0

  # Sign-in by IAM wants id and name to be the same.
  user_id       = "${var.name}-worker"
  user_name     = "${var.name}-worker"
  engine        = "valkey"
  access_string = local.rights

  authentication_mode {
    type = "iam"
  }
}

# A group of Valkey's has no default user: who has not signed in may do nothing.
resource "aws_elasticache_user_group" "this" {
  count = local.elasticache ? 1 : 0

  user_group_id = "${var.name}-log"
  engine        = "valkey"
  user_ids      = [aws_elasticache_user.worker[0].user_id]
}

resource "aws_elasticache_replication_group" "this" {
  count = local.elasticache ? 1 : 0

  replication_group_id = "${var.name}-log"
  description          = "${var.name}: message log"
  engine               = "valkey"
  engine_version       = "9.0"
  node_type            = local.node_type
  port                 = 6379
  parameter_group_name = aws_elasticache_parameter_group.this[0].name

  durability                 = "sync"
  cluster_mode               = "enabled"
  num_node_groups            = var.shards
  replicas_per_node_group    = var.replicas
  multi_az_enabled           = true
  automatic_failover_enabled = true

  subnet_group_name          = aws_elasticache_subnet_group.this[0].name
  security_group_ids         = [aws_security_group.log.id]
  transit_encryption_enabled = true
  transit_encryption_mode    = "required"
  at_rest_encryption_enabled = true
  kms_key_id                 = var.kms_key_arn
  user_group_ids             = [aws_elasticache_user_group.this[0].user_group_id]

  snapshot_retention_limit   = var.snapshot_days
  snapshot_window            = "02:00-04:00"
  maintenance_window         = "sun:04:30-sun:06:00"
  auto_minor_version_upgrade = true
  apply_immediately          = false
  final_snapshot_identifier  = "${var.name}-log-final"

  log_delivery_configuration {
    destination_type = "cloudwatch-logs"
    destination      = aws_cloudwatch_log_group.slow[0].name
    log_format       = "json"
    log_type         = "slow-log"
  }
}

resource "aws_cloudwatch_log_group" "slow" {
  count = local.elasticache ? 1 : 0

  name              = "/${var.name}/log"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
}
