# What the mocked provider answers where a made-up word would not do: ARNs, and what other things are made from.

mock_resource "aws_lb" {
  defaults = {
    arn        = "arn:aws:elasticloadbalancing:eu-central-1:111122223333:loadbalancer/app/chat/1"
    dns_name   = "chat.example.elb.amazonaws.com"
    arn_suffix = "app/chat/1"
    zone_id    = "Z1"
  }
}

mock_resource "aws_lb_target_group" {
  defaults = {
    arn        = "arn:aws:elasticloadbalancing:eu-central-1:111122223333:targetgroup/chat/1"
    arn_suffix = "targetgroup/chat/1"
  }
}

mock_resource "aws_lb_listener" {
  defaults = {
    arn = "arn:aws:elasticloadbalancing:eu-central-1:111122223333:listener/app/chat/1/1"
  }
}

mock_resource "aws_iam_role" {
  defaults = {
    arn = "arn:aws:iam:eu-central-1:111122223333:role/chat"
  }
}

mock_resource "aws_iam_instance_profile" {
  defaults = {
    arn = "arn:aws:iam:eu-central-1:111122223333:instance-profile/chat"
  }
}

mock_resource "aws_cloudwatch_log_group" {
  defaults = {
    arn = "arn:aws:logs:eu-central-1:111122223333:log-group:/chat/x"
  }
}

mock_resource "aws_dynamodb_table" {
  defaults = {
    arn = "arn:aws:dynamodb:eu-central-1:111122223333:table/chat"
  }
}

mock_resource "aws_secretsmanager_secret" {
  defaults = {
    arn = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:chat"
    id  = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:chat"
  }
}

mock_resource "aws_kms_key" {
  defaults = {
    arn = "arn:aws:kms:eu-central-1:111122223333:key/1"
  }
}

mock_resource "aws_sns_topic" {
  defaults = {
    arn = "arn:aws:sns:eu-central-1:111122223333:chat-alarms"
  }
}

mock_resource "aws_elasticache_replication_group" {
  defaults = {
    arn                            = "arn:aws:elasticache:eu-central-1:111122223333:replicationgroup:chat-log"
    configuration_endpoint_address = "chat-log.cfg.cache.amazonaws.com"
  }
}

mock_resource "aws_elasticache_user" {
  defaults = {
    arn = "arn:aws:elasticache:eu-central-1:111122223333:user:chat-worker"
  }
}

mock_resource "aws_memorydb_cluster" {
  defaults = {
    arn              = "arn:aws:memorydb:eu-central-1:111122223333:cluster/chat-log"
    cluster_endpoint = [{ address = "chat-log.memorydb.amazonaws.com", port = 6379 }]
  }
}

mock_resource "aws_memorydb_user" {
  defaults = {
    arn = "arn:aws:memorydb:eu-central-1:111122223333:user/chat-worker"
  }
}

mock_resource "aws_wafv2_web_acl" {
  defaults = {
    arn = "arn:aws:wafv2:eu-central-1:111122223333:regional/webacl/chat/1"
  }
}

mock_resource "aws_launch_template" {
  defaults = {
    arn            = "arn:aws:ec2:eu-central-1:111122223333:launch-template/lt-1"
    latest_version = 7
  }
}

mock_resource "aws_cloudwatch_metric_alarm" {
  defaults = {
    arn = "arn:aws:cloudwatch:eu-central-1:111122223333:alarm:chat"
  }
}

mock_resource "aws_s3_bucket" {
  defaults = {
    arn    = "arn:aws:s3:::chat"
    bucket = "chat"
  }
}

mock_resource "aws_ebs_volume" {
  defaults = {
    id = "vol-0123456789abcdef0"
  }
}

mock_data "aws_availability_zones" {
  defaults = {
    names = ["eu-central-1a", "eu-central-1b", "eu-central-1c"]
  }
}

mock_data "aws_region" {
  defaults = {
    region = "eu-central-1"
  }
}

mock_data "aws_caller_identity" {
  defaults = {
    account_id = "111122223333"
  }
}

mock_data "aws_partition" {
  defaults = {
    partition = "aws"
  }
}

mock_data "aws_ssm_parameter" {
  defaults = {
    value = "ami-0123456789abcdef0"
  }
}
