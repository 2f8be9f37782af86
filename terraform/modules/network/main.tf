# Three zones, each with a public subnet (balancer, NAT) and a private one (everything else).

data "aws_availability_zones" "here" {
  # checkov:skip=CKV_AWS_394:Only the first three are used, and `zones` pins them.
  state = "available"

  # Local zones have no managed services.
  filter {
    name   = "opt-in-status"
    values = ["opt-in-not-required"]
  }
}

data "aws_region" "here" {}

data "aws_caller_identity" "here" {}

locals {
  # Keys are numbers and not names of zones, so that all addresses are known before anything exists.
  places = { for index in range(3) : tostring(index + 1) => coalesce(var.zones, data.aws_availability_zones.here.names)[index] }

  public_cidrs  = { for place in keys(local.places) : place => cidrsubnet(var.cidr, 4, tonumber(place) - 1) }
  private_cidrs = { for place in keys(local.places) : place => cidrsubnet(var.cidr, 4, tonumber(place) + 7) }

  nat_places = slice(sort(keys(local.places)), 0, var.nat_gateways)
}

resource "aws_vpc" "this" {
  cidr_block           = var.cidr
  enable_dns_support   = true
  enable_dns_hostnames = true

  tags = { Name = var.name }
}

# What nobody asked for lets nobody in.
resource "aws_default_security_group" "closed" {
  vpc_id = aws_vpc.this.id

  tags = { Name = "${var.name}-default-closed" }
}

resource "aws_internet_gateway" "this" {
  vpc_id = aws_vpc.this.id

  tags = { Name = var.name }
}

resource "aws_subnet" "public" {
  for_each = local.places

  vpc_id            = aws_vpc.this.id
  availability_zone = each.value
  cidr_block        = local.public_cidrs[each.key]

  tags = { Name = "${var.name}-public-${each.key}" }
}

resource "aws_subnet" "private" {
  for_each = local.places

  vpc_id            = aws_vpc.this.id
  availability_zone = each.value
  cidr_block        = local.private_cidrs[each.key]

  tags = { Name = "${var.name}-private-${each.key}" }
}

# The first sixteen addresses of each private subnet are given to nobody who does not ask for them by number, as the
# ensemble's servers do.
resource "aws_ec2_subnet_cidr_reservation" "fixed" {
  for_each = local.places

  subnet_id        = aws_subnet.private[each.key].id
  cidr_block       = "${cidrhost(local.private_cidrs[each.key], 0)}/28"
  reservation_type = "explicit"
  description      = "Fixed addresses"
}

resource "aws_eip" "nat" {
  for_each = toset(local.nat_places)

  domain = "vpc"

  tags = { Name = "${var.name}-nat-${each.key}" }
}

resource "aws_nat_gateway" "this" {
  for_each = toset(local.nat_places)

  allocation_id = aws_eip.nat[each.key].id
  subnet_id     = aws_subnet.public[each.key].id

  tags = { Name = "${var.name}-${each.key}" }

  depends_on = [aws_internet_gateway.this]
}

resource "aws_route_table" "public" {
  vpc_id = aws_vpc.this.id

  tags = { Name = "${var.name}-public" }
}

resource "aws_route" "out" {
  route_table_id         = aws_route_table.public.id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = aws_internet_gateway.this.id
}

resource "aws_route_table_association" "public" {
  for_each = local.places

  subnet_id      = aws_subnet.public[each.key].id
  route_table_id = aws_route_table.public.id
}

resource "aws_route_table" "private" {
  for_each = local.places

  vpc_id = aws_vpc.this.id

  tags = { Name = "${var.name}-private-${each.key}" }
}

resource "aws_route" "through_nat" {
  for_each = local.places

  route_table_id         = aws_route_table.private[each.key].id
  destination_cidr_block = "0.0.0.0/0"
  nat_gateway_id         = aws_nat_gateway.this[var.nat_gateways == 1 ? local.nat_places[0] : each.key].id
}

resource "aws_route_table_association" "private" {
  for_each = local.places

  subnet_id      = aws_subnet.private[each.key].id
  route_table_id = aws_route_table.private[each.key].id
}

# Gateway end points cost nothing and keep archive and files off the NAT gateway, which does.
resource "aws_vpc_endpoint" "dynamodb" {
  vpc_id            = aws_vpc.this.id
  service_name      = "com.amazonaws.${data.aws_region.here.region}.dynamodb"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = [for table in aws_route_table.private : table.id]

  # Nobody carries data out into a table of another account.
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = "*"
      Action    = "dynamodb:*"
      Resource  = "*"
      Condition = { StringEquals = { "aws:ResourceAccount" = data.aws_caller_identity.here.account_id } }
    }]
  })

  tags = { Name = "${var.name}-dynamodb" }
}

# Without such a policy: packages of Amazon Linux and layers of ECR images lie in buckets of AWS' own.
resource "aws_vpc_endpoint" "s3" {
  vpc_id            = aws_vpc.this.id
  service_name      = "com.amazonaws.${data.aws_region.here.region}.s3"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = [for table in aws_route_table.private : table.id]

  tags = { Name = "${var.name}-s3" }
}
