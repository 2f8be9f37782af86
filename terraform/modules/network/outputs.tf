output "vpc_id" {
  description = "The VPC."
  value       = aws_vpc.this.id
}

output "public_subnet_ids" {
  description = "The public subnets, by place (1, 2, 3)."
  value       = { for place, subnet in aws_subnet.public : place => subnet.id }
}

output "private_subnet_ids" {
  description = "The private subnets, by place (1, 2, 3)."
  value       = { for place, subnet in aws_subnet.private : place => subnet.id }

  # A machine installs what it needs when it boots, once: it may not come before the way out does. Nor may anything take
  # an address that is another's.
  depends_on = [
    aws_route.through_nat, aws_route_table_association.private, aws_vpc_endpoint.s3, aws_ec2_subnet_cidr_reservation.fixed,
  ]
}

output "private_cidrs" {
  description = "The private subnets' addresses, by place (1, 2, 3)."
  value       = local.private_cidrs
}

output "zones" {
  description = "Names of the zones, by place (1, 2, 3)."
  value       = local.places
}

output "nat_addresses" {
  description = "Addresses from which the stack calls the world."
  value       = [for address in aws_eip.nat : address.public_ip]
}
