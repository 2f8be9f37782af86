# The whole chat. Each module has one purpose; this file says who knows whom:
#
#   world ──▶ balancer ──▶ workers ──▶ log        acknowledged messages, in two zones
#                             ├─────▶ ensemble    who leads
#                             ├─────▶ archive     everything for good (end point in the VPC)
#                             └─────▶ files       attachments and exports (end point in the VPC)

locals {
  port        = 5000
  kms_key_arn = one(module.encryption[*].key_arn)

  public_url = (
    var.domain == null ? null : "${var.certificate_arn == null ? "http" : "https"}://${var.domain.name}"
  )
}

data "aws_region" "here" {}

# The newest Amazon Linux 2023 of each architecture, unless ami_id says which.
data "aws_ssm_parameter" "amazon_linux" {
  for_each = var.ami_id == null ? toset([var.workers.architecture, var.ensemble.architecture]) : toset([])

  name = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-${each.key}"
}

module "encryption" {
  source = "./modules/encryption"
  count  = var.customer_key ? 1 : 0

  name = var.name
}

module "network" {
  source = "./modules/network"

  name               = var.name
  cidr               = var.vpc_cidr
  zones              = var.zones
  nat_gateways       = var.nat_gateways
  log_retention_days = var.log_retention_days
  kms_key_arn        = local.kms_key_arn
}

module "balancer" {
  source = "./modules/balancer"

  name                      = var.name
  vpc_id                    = module.network.vpc_id
  subnet_ids                = values(module.network.public_subnet_ids)
  workers_security_group_id = module.workers.security_group_id
  port                      = local.port
  allowed_cidrs             = var.allowed_cidrs
  certificate_arn           = var.certificate_arn
  domain                    = var.domain
  web_firewall              = var.web_firewall
  requests_per_address      = var.requests_per_address
  idle_timeout_s            = local.timeouts.idle_s
  deregistration_s          = local.timeouts.deregistration_s
  health_every_s            = local.timeouts.health_every_s
  deletion_protection       = var.deletion_protection
  log_retention_days        = var.log_retention_days
}

module "secrets" {
  source = "./modules/secrets"

  name            = var.name
  kms_key_arn     = local.kms_key_arn
  zookeeper       = var.zookeeper_secrets
  secrets_version = var.zookeeper_secrets_version
}

module "log" {
  source = "./modules/log"

  name                      = var.name
  kind                      = var.log.kind
  node_type                 = var.log.node_type
  shards                    = var.log.shards
  replicas                  = var.log.replicas
  snapshot_days             = var.log.snapshot_days
  vpc_id                    = module.network.vpc_id
  subnet_ids                = values(module.network.private_subnet_ids)
  workers_security_group_id = module.workers.security_group_id
  kms_key_arn               = local.kms_key_arn
  log_retention_days        = var.log_retention_days
}

module "ensemble" {
  source = "./modules/ensemble"

  name                      = var.name
  tags                      = var.tags
  vpc_id                    = module.network.vpc_id
  subnet_ids                = module.network.private_subnet_ids
  private_cidrs             = module.network.private_cidrs
  zones                     = module.network.zones
  workers_security_group_id = module.workers.security_group_id
  ami_id                    = var.ami_id == null ? nonsensitive(data.aws_ssm_parameter.amazon_linux[var.ensemble.architecture].value) : var.ami_id
  instance_type             = var.ensemble.instance_type
  image                     = var.ensemble.image
  disk_gib                  = var.ensemble.disk_gib
  secret_arn                = module.secrets.servers_secret_arn
  kms_key_arn               = local.kms_key_arn
  deletion_protection       = var.deletion_protection
  log_retention_days        = var.log_retention_days
}

module "archive" {
  source = "./modules/archive"

  name                = var.name
  kms_key_arn         = local.kms_key_arn
  deletion_protection = var.deletion_protection
}

module "files" {
  source = "./modules/files"

  name                = var.name
  kms_key_arn         = local.kms_key_arn
  deletion_protection = var.deletion_protection
}

module "workers" {
  source = "./modules/workers"

  name                       = var.name
  tags                       = var.tags
  vpc_id                     = module.network.vpc_id
  subnet_ids                 = values(module.network.private_subnet_ids)
  port                       = local.port
  balancer_security_group_id = module.balancer.security_group_id
  log_security_group_id      = module.log.security_group_id
  ensemble_security_group_id = module.ensemble.security_group_id
  ensemble_port              = module.ensemble.tls_port
  target_group_arn           = module.balancer.target_group_arn
  ami_id                     = var.ami_id == null ? nonsensitive(data.aws_ssm_parameter.amazon_linux[var.workers.architecture].value) : var.ami_id
  instance_type              = var.workers.instance_type
  image                      = var.image
  image_repository_arn       = var.image_repository_arn
  min                        = var.workers.min
  max                        = var.workers.max
  cpu_percent                = var.workers.cpu_percent
  streams_each               = var.workers.streams_each
  secret_arn                 = module.secrets.workers_secret_arn
  archive_table_arn          = module.archive.table_arn
  files_bucket_arn           = module.files.bucket_arn
  log_sign_in                = module.log.sign_in
  kms_key_arn                = local.kms_key_arn
  timeouts                   = local.timeouts
  log_retention_days         = var.log_retention_days

  settings = merge(
    local.public_url == null ? {} : { DCHAT_PUBLIC_URL = local.public_url },
    var.settings,
    {
      DCHAT_REDIS_URL = module.log.url
      # The log itself answers a write only when two zones have it.
      DCHAT_ACK                  = "memory"
      DCHAT_DYNAMODB_TABLE       = module.archive.table_name
      DCHAT_DYNAMODB_REGION      = data.aws_region.here.region
      DCHAT_ZOOKEEPER            = module.ensemble.hosts
      DCHAT_ZOOKEEPER_GENERATION = tostring(var.ensemble.generation)
      DCHAT_ZOOKEEPER_CA         = "/run/dchat/tls/ca.pem"
      DCHAT_ZOOKEEPER_CERT       = "/run/dchat/tls/worker.pem"
      DCHAT_ZOOKEEPER_KEY        = "/run/dchat/tls/worker.key"
    },
  )
}

module "alarms" {
  source = "./modules/alarms"

  name                    = var.name
  email                   = var.alarm_email
  topic_arns              = var.alarm_topic_arns
  metrics_namespace       = module.workers.metrics_namespace
  balancer_arn_suffix     = module.balancer.arn_suffix
  target_group_arn_suffix = module.balancer.target_group_arn_suffix
  group_name              = module.workers.group_name
  fewest_workers          = var.workers.min
  most_workers            = var.workers.max
  table_name              = module.archive.table_name
  log_nodes               = module.log.nodes
  ensemble_instance_ids   = module.ensemble.instance_ids
  kms_key_arn             = local.kms_key_arn
}
