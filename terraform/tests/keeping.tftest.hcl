# What is kept: archive, files, secrets; and that it stays.

mock_provider "aws" {
  source = "./tests/mocks"
}

run "archive" {
  module {
    source = "./modules/archive"
  }

  variables {
    name                = "chat"
    kms_key_arn         = null
    deletion_protection = true
  }

  assert {
    condition     = aws_dynamodb_table.this.hash_key == "PK" && aws_dynamodb_table.this.range_key == "SK" && alltrue([for each in aws_dynamodb_table.this.attribute : each.type == "S"])
    error_message = "The keys are those of dchat-server init-table."
  }

  assert {
    condition     = aws_dynamodb_table.this.billing_mode == "PAY_PER_REQUEST" && aws_dynamodb_table.this.point_in_time_recovery[0].enabled && aws_dynamodb_table.this.deletion_protection_enabled && aws_dynamodb_table.this.server_side_encryption[0].enabled && aws_dynamodb_table.this.ttl[0].enabled
    error_message = "The archive is on demand, can be brought back, is protected, encrypted, and lets go of what says so itself."
  }
}

run "files" {
  module {
    source = "./modules/files"
  }

  variables {
    name                = "chat"
    kms_key_arn         = null
    deletion_protection = true
  }

  assert {
    condition = alltrue([
      aws_s3_bucket_public_access_block.this.block_public_acls, aws_s3_bucket_public_access_block.this.block_public_policy,
      aws_s3_bucket_public_access_block.this.ignore_public_acls, aws_s3_bucket_public_access_block.this.restrict_public_buckets,
    ])
    error_message = "Files are nobody else's."
  }

  assert {
    condition     = aws_s3_bucket_versioning.this.versioning_configuration[0].status == "Enabled" && !aws_s3_bucket.this.force_destroy
    error_message = "What was overwritten can be brought back."
  }

  assert {
    condition     = jsondecode(aws_s3_bucket_policy.this.policy).Statement[0].Effect == "Deny" && jsondecode(aws_s3_bucket_policy.this.policy).Statement[0].Condition.Bool["aws:SecureTransport"] == "false"
    error_message = "Files travel by TLS only."
  }
}

run "secrets" {
  module {
    source = "./modules/secrets"
  }

  variables {
    name            = "chat"
    kms_key_arn     = "arn:aws:kms:eu-central-1:111122223333:key/1"
    secrets_version = 1
    zookeeper       = { password = "a-password-of-the-tests", ca = "", server = "", worker_cert = "", worker_key = "" }
  }

  assert {
    condition     = aws_secretsmanager_secret.workers.kms_key_id == var.kms_key_arn && aws_secretsmanager_secret.servers.recovery_window_in_days == 7
    error_message = "Secrets are encrypted with the key, and can be brought back for a week."
  }

  assert {
    condition     = aws_secretsmanager_secret_version.workers.secret_string_wo == null && aws_secretsmanager_secret_version.workers.secret_string != "a-password-of-the-tests"
    error_message = "A secret is in the state."
  }
}

run "network" {
  module {
    source = "./modules/network"
  }

  variables {
    name               = "chat"
    cidr               = "10.40.0.0/16"
    zones              = null
    nat_gateways       = 3
    log_retention_days = 30
    kms_key_arn        = null
  }

  assert {
    condition     = toset([for subnet in aws_subnet.private : subnet.availability_zone]) == toset(["eu-central-1a", "eu-central-1b", "eu-central-1c"])
    error_message = "Private subnets are in three zones."
  }

  assert {
    condition     = length(aws_nat_gateway.this) == 3 && length(distinct(concat(values(output.private_cidrs), [for subnet in aws_subnet.public : subnet.cidr_block]))) == 6
    error_message = "Three ways out, six ranges."
  }

  assert {
    condition     = aws_ec2_subnet_cidr_reservation.fixed["2"].cidr_block == "10.40.144.0/28" && aws_ec2_subnet_cidr_reservation.fixed["2"].reservation_type == "explicit"
    error_message = "The ensemble's addresses may be given to others."
  }

  assert {
    condition     = aws_vpc_endpoint.dynamodb.vpc_endpoint_type == "Gateway" && aws_vpc_endpoint.s3.vpc_endpoint_type == "Gateway"
    error_message = "Archive and files are reached without NAT."
  }

  assert {
    condition     = aws_flow_log.this.traffic_type == "ALL" && length(aws_default_security_group.closed.ingress) == 0
    error_message = "All flows are logged, and the default group lets nobody in."
  }
}

run "alarms" {
  module {
    source = "./modules/alarms"
  }

  variables {
    name                    = "chat"
    email                   = "ops@example.com"
    topic_arns              = ["arn:aws:sns:eu-central-1:111122223333:pager"]
    metrics_namespace       = "DChat"
    balancer_arn_suffix     = "app/chat/1"
    target_group_arn_suffix = "targetgroup/chat/1"
    group_name              = "chat-workers"
    fewest_workers          = 3
    most_workers            = 4
    table_name              = "chat"
    log_nodes               = { "chat-log-0001-001" = { namespace = "AWS/ElastiCache", dimensions = { CacheClusterId = "chat-log-0001-001" } } }
    ensemble_instance_ids   = { 1 = "i-1", 2 = "i-2", 3 = "i-3" }
    kms_key_arn             = null
  }

  assert {
    condition = length(setsubtract([
      "no-leader", "archive-lag", "log-unreadable", "refused-for-the-log", "mistakes", "balancer-5xx", "workers-5xx", "unhealthy-workers", "few-workers",
      "log-memory-chat-log-0001-001", "archive-write-throttles", "archive-read-throttles", "zookeeper-1", "zookeeper-2", "zookeeper-3",
    ], keys(aws_cloudwatch_metric_alarm.this))) == 0
    error_message = "An alarm is missing."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.this["no-leader"].treat_missing_data == "breaching" && aws_cloudwatch_metric_alarm.this["no-leader"].comparison_operator == "LessThanThreshold"
    error_message = "Silence is a leader that is missing."
  }

  assert {
    condition     = alltrue([for alarm in aws_cloudwatch_metric_alarm.this : length(alarm.alarm_actions) == 2 && alarm.ok_actions == alarm.alarm_actions])
    error_message = "Topic and pager are told, of the end as well."
  }

  assert {
    condition     = length(jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets) == 14
    error_message = "The dashboard lacks a graph."
  }
}
