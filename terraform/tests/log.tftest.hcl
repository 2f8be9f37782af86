# The message log: an acknowledgement is worth the same on both services.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name                      = "chat"
  kind                      = "elasticache"
  node_type                 = null
  shards                    = 1
  replicas                  = 1
  snapshot_days             = 7
  vpc_id                    = "vpc-1"
  subnet_ids                = ["subnet-1", "subnet-2", "subnet-3"]
  workers_security_group_id = "sg-workers"
  kms_key_arn               = null
  log_retention_days        = 30
}

run "elasticache" {
  module {
    source = "./modules/log"
  }

  assert {
    condition     = aws_elasticache_replication_group.this[0].durability == "sync"
    error_message = "A write is to be answered only when two zones have it."
  }

  assert {
    condition = alltrue([
      aws_elasticache_replication_group.this[0].engine == "valkey",
      tonumber(split(".", aws_elasticache_replication_group.this[0].engine_version)[0]) >= 9,
      aws_elasticache_replication_group.this[0].cluster_mode == "enabled",
      aws_elasticache_replication_group.this[0].multi_az_enabled,
      aws_elasticache_replication_group.this[0].automatic_failover_enabled,
      aws_elasticache_replication_group.this[0].replicas_per_node_group >= 1,
    ])
    error_message = "Durability asks for Valkey 9, cluster mode, Multi-AZ and a replica."
  }

  assert {
    condition     = aws_elasticache_replication_group.this[0].transit_encryption_enabled && aws_elasticache_replication_group.this[0].transit_encryption_mode == "required" && aws_elasticache_replication_group.this[0].at_rest_encryption_enabled == "true"
    error_message = "The log is encrypted, on the wire and on disk."
  }

  assert {
    condition     = aws_elasticache_user.worker[0].authentication_mode[0].type == "iam" && aws_elasticache_user.worker[0].user_id == aws_elasticache_user.worker[0].user_name
    error_message = "Workers sign in by IAM, for which id and name are the same."
  }

  assert {
    condition     = strcontains(aws_elasticache_user.worker[0].access_string, "-@dangerous") && strcontains(aws_elasticache_user.worker[0].access_string, "~dchat:*") && !strcontains(aws_elasticache_user.worker[0].access_string, "~* ")
    error_message = "Workers may do nothing dangerous, and touch no key but their own."
  }

  assert {
    condition     = contains([for each in aws_elasticache_parameter_group.this[0].parameter : "${each.name}=${each.value}"], "maxmemory-policy=noeviction")
    error_message = "A full log refuses; it does not forget."
  }

  assert {
    condition     = aws_vpc_security_group_ingress_rule.workers.referenced_security_group_id == "sg-workers" && aws_vpc_security_group_ingress_rule.workers.cidr_ipv4 == null
    error_message = "Only workers come in."
  }

  assert {
    condition     = length(aws_memorydb_cluster.this) == 0 && toset(keys(output.nodes)) == toset(["chat-log-0001-001", "chat-log-0001-002"])
    error_message = "There is one log, and each of its machines is watched."
  }
}

run "memorydb" {
  module {
    source = "./modules/log"
  }

  variables {
    kind   = "memorydb"
    shards = 2
  }

  assert {
    condition     = length(aws_elasticache_replication_group.this) == 0 && aws_memorydb_cluster.this[0].node_type == "db.t4g.small"
    error_message = "There is one log."
  }

  assert {
    condition     = aws_memorydb_cluster.this[0].tls_enabled && aws_memorydb_cluster.this[0].num_replicas_per_shard >= 1 && aws_memorydb_cluster.this[0].acl_name == "chat-log"
    error_message = "MemoryDB has TLS, a replica and a list of who may come in."
  }

  assert {
    condition     = aws_memorydb_user.worker[0].authentication_mode[0].type == "iam"
    error_message = "Workers sign in by IAM."
  }

  assert {
    condition     = output.sign_in.action == "memorydb:Connect" && length(output.sign_in.resources) == 2 && length(output.nodes) == 4
    error_message = "Signing in needs cluster and user; two shards of two are four machines."
  }
}

run "no_other_kind" {
  command = plan

  module {
    source = "./modules/log"
  }

  variables {
    kind = "redis"
  }

  expect_failures = [var.kind]
}
