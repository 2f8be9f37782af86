# A chat for a team or two, some 200 dollars a month: three small workers, MemoryDB on two small machines, one NAT gateway.

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
  #   key          = "dchat/small.tfstate"
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

  # Without a certificate it is plain HTTP, for whoever is in allowed_cidrs.
  certificate_arn  = var.certificate_arn
  allow_plain_http = var.certificate_arn == null
  allowed_cidrs    = var.allowed_cidrs

  log = { kind = "memorydb", node_type = "db.t4g.small" }

  alarm_email               = var.alarm_email
  deletion_protection       = var.deletion_protection
  zookeeper_secrets         = var.zookeeper_secrets
  zookeeper_secrets_version = var.zookeeper_secrets_version
}
