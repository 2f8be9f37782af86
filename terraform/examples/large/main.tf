# A chat for a company, 750 to 900 dollars a month: three to six larger workers, durable ElastiCache, everything once a zone.

terraform {
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.51, < 7.0"
    }
  }

  # The state of a team lies in S3. Make the bucket first (docs/aws.md), then take the comment away.
  # backend "s3" {
  #   bucket       = "CHANGE-ME-terraform-state"
  #   key          = "dchat/large.tfstate"
  #   region       = "eu-central-1"
  #   encrypt      = true
  #   use_lockfile = true
  # }
}

provider "aws" {
  region = var.region

  default_tags {
    tags = local.tags
  }
}

locals {
  tags = { Project = "dchat", Stack = var.name }
}

module "chat" {
  source = "../.."

  name                 = var.name
  tags                 = local.tags
  image                = var.image
  image_repository_arn = var.image_repository_arn

  certificate_arn = var.certificate_arn
  domain          = var.domain
  allowed_cidrs   = var.allowed_cidrs
  web_firewall    = true

  nat_gateways = 3
  customer_key = true

  workers  = { min = 4, max = 6, instance_type = "c7g.large", streams_each = 10000 }
  log      = { kind = "elasticache", node_type = "cache.m7g.large", shards = 1, replicas = 1 }
  ensemble = { instance_type = "t4g.small" }

  settings = {
    DCHAT_REGISTRATION = "invite"
  }

  log_retention_days        = 365
  alarm_email               = var.alarm_email
  deletion_protection       = var.deletion_protection
  zookeeper_secrets         = var.zookeeper_secrets
  zookeeper_secrets_version = var.zookeeper_secrets_version
}
