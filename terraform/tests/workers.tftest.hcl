# Machines that run the container: how many, how they are replaced, what they may do, and that they hold no secret.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name                       = "chat"
  tags                       = { Project = "chat" }
  vpc_id                     = "vpc-1"
  subnet_ids                 = ["subnet-1", "subnet-2", "subnet-3"]
  port                       = 5000
  balancer_security_group_id = "sg-balancer"
  log_security_group_id      = "sg-log"
  ensemble_security_group_id = "sg-ensemble"
  ensemble_port              = 2281
  target_group_arn           = "arn:aws:elasticloadbalancing:eu-central-1:111122223333:targetgroup/chat/1"
  ami_id                     = "ami-0123456789abcdef0"
  instance_type              = "t4g.small"
  image                      = "registry.example/dchat@sha256:0"
  image_repository_arn       = null
  min                        = 3
  max                        = 4
  cpu_percent                = 60
  streams_each               = 5000
  settings                   = { DCHAT_REDIS_URL = "rediss+cluster://chat-worker@log:6379" }
  secret_arn                 = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:workers"
  archive_table_arn          = "arn:aws:dynamodb:eu-central-1:111122223333:table/chat"
  files_bucket_arn           = "arn:aws:s3:::chat"
  log_sign_in                = { action = "elasticache:Connect", resources = ["arn:aws:elasticache:eu-central-1:111122223333:user:chat-worker"] }
  kms_key_arn                = null
  log_retention_days         = 30

  timeouts = {
    ping_s           = 15, drain_s = 12, container_stop_s = 20, unit_stop_s = 30, lifecycle_poll_s = 5, settle_s = 5
    lifecycle_hook_s = 120, warmup_s = 120, idle_s = 120, deregistration_s = 30, health_every_s = 5
  }
}

run "workers" {
  module {
    source = "./modules/workers"
  }

  assert {
    condition     = aws_autoscaling_group.this.min_size == 3 && aws_autoscaling_group.this.max_size == 4 && length(aws_autoscaling_group.this.vpc_zone_identifier) == 3
    error_message = "Three to four machines over three zones."
  }

  assert {
    condition     = aws_autoscaling_group.this.health_check_type == "ELB" && aws_autoscaling_group.this.target_group_arns == toset([var.target_group_arn])
    error_message = "A machine is as well as the balancer finds it."
  }

  assert {
    condition     = aws_launch_template.this.metadata_options[0].http_tokens == "required" && aws_launch_template.this.metadata_options[0].http_put_response_hop_limit == 1
    error_message = "IMDSv2 is required, with one hop."
  }

  assert {
    condition     = aws_launch_template.this.block_device_mappings[0].ebs[0].encrypted == "true"
    error_message = "Disks are encrypted."
  }

  assert {
    condition     = aws_launch_template.this.key_name == null
    error_message = "Nobody comes in by SSH."
  }

  assert {
    condition     = aws_autoscaling_group.this.launch_template[0].version == "7"
    error_message = "A refresh compares and rolls back to a number, not to $Latest."
  }

  assert {
    condition = alltrue([
      aws_autoscaling_group.this.instance_refresh[0].preferences[0].min_healthy_percentage == 100,
      aws_autoscaling_group.this.instance_refresh[0].preferences[0].max_healthy_percentage == 134,
      aws_autoscaling_group.this.instance_refresh[0].preferences[0].auto_rollback,
    ])
    error_message = "A refresh adds before it takes away, and goes back when the new ones fail."
  }

  assert {
    condition = alltrue([
      aws_autoscaling_lifecycle_hook.drain.lifecycle_transition == "autoscaling:EC2_INSTANCE_TERMINATING",
      aws_autoscaling_lifecycle_hook.drain.heartbeat_timeout == 120,
      aws_autoscaling_lifecycle_hook.drain.default_result == "CONTINUE",
    ])
    error_message = "The group waits for the drain, and not for ever."
  }

  assert {
    condition     = aws_autoscaling_lifecycle_hook.drain.heartbeat_timeout > var.timeouts.deregistration_s + var.timeouts.unit_stop_s + var.timeouts.lifecycle_poll_s + var.timeouts.settle_s
    error_message = "The hook is to be longer than deregistration delay and drain together."
  }

  assert {
    condition     = aws_autoscaling_policy.streams.target_tracking_configuration[0].customized_metric_specification[0].metric_name == "Streams"
    error_message = "The group scales on open streams."
  }

  assert {
    condition     = aws_autoscaling_policy.cpu.target_tracking_configuration[0].predefined_metric_specification[0].predefined_metric_type == "ASGAverageCPUUtilization"
    error_message = "The group scales on CPU."
  }

  # Who may talk to it

  assert {
    condition     = aws_vpc_security_group_ingress_rule.balancer.referenced_security_group_id == "sg-balancer" && aws_vpc_security_group_ingress_rule.balancer.cidr_ipv4 == null && aws_vpc_security_group_ingress_rule.balancer.from_port == 5000
    error_message = "Only the balancer comes in, on port 5000."
  }

  # What it may do

  assert {
    condition = toset([
      for each in jsondecode(aws_iam_role_policy.this.policy).Statement : each.Resource if each.Sid == "Archive"
    ]) == toset([var.archive_table_arn])
    error_message = "Workers write the archive and no other table."
  }

  assert {
    condition = toset(flatten([for each in jsondecode(aws_iam_role_policy.this.policy).Statement : each.Action if each.Sid == "Archive"])) == toset([
      "dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query", "dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem", "dynamodb:ConditionCheckItem",
    ])
    error_message = "Exactly the actions that docs/archive.md names."
  }

  assert {
    condition     = !strcontains(aws_iam_role_policy.this.policy, ":*\"]") && alltrue([for each in jsondecode(aws_iam_role_policy.this.policy).Statement : !contains(flatten([each.Action]), "*")])
    error_message = "No action is everything."
  }

  assert {
    condition = toset([
      for each in jsondecode(aws_iam_role_policy.this.policy).Statement : each.Sid if contains(flatten([each.Resource]), "*")
    ]) == toset(["OwnMetrics"])
    error_message = "Only what knows no resources, and has a condition instead, is for all of them."
  }

  # What is in user data

  assert {
    condition     = length(aws_launch_template.this.user_data) < 21800
    error_message = "User data is 16 KiB at most, 21,848 characters in base64."
  }

  assert {
    condition     = yamldecode(nonsensitive(output.user_data)).write_files[0].path == "/etc/dchat/stack.env"
    error_message = "User data is no cloud-config."
  }

  assert {
    condition     = !strcontains(output.user_data, "password") && !strcontains(output.user_data, "SASL")
    error_message = "There is a secret in user data."
  }

  assert {
    condition = alltrue([
      for file in yamldecode(output.user_data).write_files :
      !strcontains(base64decode(file.content), "BEGIN PRIVATE") if startswith(file.path, "/etc/")
    ])
    error_message = "There is a key in user data."
  }

  assert {
    condition = alltrue([
      for file in yamldecode(output.user_data).write_files :
      strcontains(base64decode(file.content), "docker stop --time 20 dchat") && strcontains(base64decode(file.content), "TimeoutStopSec=30") if file.path == "/etc/systemd/system/dchat.service"
    ])
    error_message = "The unit does not know its time-outs."
  }

  assert {
    condition     = output.settings["DCHAT_DRAIN_S"] == "12" && output.settings["DCHAT_PING_INTERVAL_S"] == "15"
    error_message = "The worker does not know its time-outs."
  }
}

run "a_key_of_ones_own_and_a_registry_of_ones_own_need_their_rights" {
  module {
    source = "./modules/workers"
  }

  variables {
    kms_key_arn          = "arn:aws:kms:eu-central-1:111122223333:key/1"
    image_repository_arn = "arn:aws:ecr:eu-central-1:111122223333:repository/dchat"
  }

  assert {
    condition = toset([
      for each in jsondecode(aws_iam_role_policy.this.policy).Statement : each.Resource if each.Sid == "Image" || each.Sid == "KeyOfSecretArchiveAndFiles"
    ]) == toset([var.kms_key_arn, var.image_repository_arn])
    error_message = "The role lacks key or image, or has more."
  }

  assert {
    condition     = aws_launch_template.this.block_device_mappings[0].ebs[0].kms_key_id == var.kms_key_arn && aws_cloudwatch_log_group.this.kms_key_id == var.kms_key_arn
    error_message = "Disks and logs are not encrypted with it."
  }
}
