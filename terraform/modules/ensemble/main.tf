# ZooKeeper, which elects the worker that archives. Three machines, one a zone, each with an address, a name and a disk
# that outlive it. They are not a group that scales: which three there are is written in every one of them.

data "aws_caller_identity" "here" {}

data "aws_partition" "here" {}

data "aws_region" "here" {}

locals {
  # The same in every subnet; AWS keeps the first four addresses.
  addresses = { for place, cidr in var.private_cidrs : place => cidrhost(cidr, 10) }
  names     = { for place in keys(local.addresses) : place => "zk-${place}.${local.zone_name}" }
  zone_name = "${var.name}.internal"

  tls_port = 2281

  settings = templatefile("${path.module}/files/zoo.cfg.tftpl", { names = local.names, tls_port = local.tls_port })

  user_data = {
    for place in keys(local.addresses) : place => templatefile("${path.module}/files/cloud-init.yaml.tftpl", {
      zoo_cfg = base64encode(local.settings)
      scripts = { for script in ["disk.sh", "secrets.sh", "run.sh"] : script => filebase64("${path.module}/files/${script}") }
      unit    = filebase64("${path.module}/files/zookeeper.service")
      stack = base64encode(join("\n", [
        "ID=${place}",
        "IMAGE=${var.image}",
        "REGION=${data.aws_region.here.region}",
        "SECRET_ARN=${var.secret_arn}",
        "LOG_GROUP=${aws_cloudwatch_log_group.this.name}",
        "VOLUME_ID=${aws_ebs_volume.data[place].id}",
        "",
      ]))
    })
  }
}

# Names

resource "aws_route53_zone" "inside" {
  # checkov:skip=CKV2_AWS_38:DNSSEC is for public zones; this one is answered inside of the VPC only.
  # checkov:skip=CKV2_AWS_39:As above; who asked for zk-1 is in no log worth its price.
  name          = local.zone_name
  comment       = "${var.name}: the ensemble, inside of the VPC"
  force_destroy = true

  vpc {
    vpc_id = var.vpc_id
  }
}

resource "aws_route53_record" "server" {
  # checkov:skip=CKV2_AWS_23:The addresses are those of the network interfaces below, which are given the same list.
  for_each = local.addresses

  zone_id = aws_route53_zone.inside.zone_id
  name    = local.names[each.key]
  type    = "A"
  ttl     = 60
  records = [each.value]
}

# Who may talk to it

resource "aws_security_group" "ensemble" {
  name_prefix = "${var.name}-ensemble-"
  description = "ZooKeeper: in from the workers and from each other"
  vpc_id      = var.vpc_id

  tags = { Name = "${var.name}-ensemble" }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_vpc_security_group_ingress_rule" "workers" {
  security_group_id            = aws_security_group.ensemble.id
  description                  = "Workers, by TLS"
  referenced_security_group_id = var.workers_security_group_id
  ip_protocol                  = "tcp"
  from_port                    = local.tls_port
  to_port                      = local.tls_port
}

resource "aws_vpc_security_group_ingress_rule" "each_other" {
  for_each = { quorum = 2888, election = 3888 }

  security_group_id            = aws_security_group.ensemble.id
  description                  = "Each other: ${each.key}"
  referenced_security_group_id = aws_security_group.ensemble.id
  ip_protocol                  = "tcp"
  from_port                    = each.value
  to_port                      = each.value
}

resource "aws_vpc_security_group_egress_rule" "each_other" {
  for_each = { quorum = 2888, election = 3888 }

  security_group_id            = aws_security_group.ensemble.id
  description                  = "Each other: ${each.key}"
  referenced_security_group_id = aws_security_group.ensemble.id
  ip_protocol                  = "tcp"
  from_port                    = each.value
  to_port                      = each.value
}

resource "aws_vpc_security_group_egress_rule" "https" {
  security_group_id = aws_security_group.ensemble.id
  description       = "AWS' end points, packages and the image registry"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

# Machines

resource "aws_network_interface" "server" {
  for_each = local.addresses

  subnet_id       = var.subnet_ids[each.key]
  private_ips     = [each.value]
  security_groups = [aws_security_group.ensemble.id]

  tags = { Name = "${var.name}-zookeeper-${each.key}" }
}

resource "aws_ebs_volume" "data" {
  for_each = local.addresses

  availability_zone = var.zones[each.key]
  type              = "gp3"
  size              = var.disk_gib
  encrypted         = true
  kms_key_id        = var.kms_key_arn
  final_snapshot    = var.deletion_protection

  tags = { Name = "${var.name}-zookeeper-${each.key}" }
}

resource "aws_instance" "server" {
  for_each = local.addresses

  # checkov:skip=CKV_AWS_126:Five-minute metrics will do; that nobody leads is an alarm of its own, after two minutes.
  ami                         = var.ami_id
  instance_type               = var.instance_type
  iam_instance_profile        = aws_iam_instance_profile.this.name
  user_data_base64            = base64gzip(local.user_data[each.key])
  user_data_replace_on_change = false
  ebs_optimized               = true

  primary_network_interface {
    network_interface_id = aws_network_interface.server[each.key].id
  }

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  maintenance_options {
    auto_recovery = "default"
  }

  root_block_device {
    volume_type = "gp3"
    volume_size = 10
    encrypted   = true
    kms_key_id  = var.kms_key_arn
  }

  tags = merge(var.tags, { Name = "${var.name}-zookeeper-${each.key}" })

  lifecycle {
    # Otherwise one apply with a newer image would replace all three at once, which ends the quorum. Replace them one
    # after another, with -replace; see docs/aws.md.
    ignore_changes = [ami, user_data_base64]
  }

  depends_on = [aws_iam_role_policy.this, aws_iam_role_policy_attachment.session]
}

resource "aws_volume_attachment" "data" {
  for_each = local.addresses

  device_name                    = "/dev/sdf"
  volume_id                      = aws_ebs_volume.data[each.key].id
  instance_id                    = aws_instance.server[each.key].id
  stop_instance_before_detaching = true
}

resource "aws_cloudwatch_log_group" "this" {
  name              = "/${var.name}/zookeeper"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
}
