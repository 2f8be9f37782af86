# The message log: what is acknowledged is in two zones. Either service keeps that promise; `kind` chooses.
#
# One user, a worker, signs in by IAM: there is no password to keep. Who has not signed in may do nothing.

data "aws_region" "here" {}

locals {
  elasticache = var.kind == "elasticache"

  # All keys begin with dchat:, and there are no channels. KEYS, FLUSHALL, CONFIG, DEBUG and their like are dangerous; of
  # those a worker needs INFO alone, which tells it that a server has been restarted.
  rights = "on ~dchat:* +@all -@admin -@dangerous +info"

  node_type = coalesce(var.node_type, local.elasticache ? "cache.m7g.large" : "db.t4g.small")
}

resource "aws_security_group" "log" {
  name_prefix = "${var.name}-log-"
  description = "Message log: in from the workers"
  vpc_id      = var.vpc_id

  tags = { Name = "${var.name}-log" }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_vpc_security_group_ingress_rule" "workers" {
  security_group_id            = aws_security_group.log.id
  description                  = "Workers"
  referenced_security_group_id = var.workers_security_group_id
  ip_protocol                  = "tcp"
  from_port                    = 6379
  to_port                      = 6379
}
