# ZooKeeper: three, each in its place, and with no say about the archive.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name                      = "chat"
  tags                      = {}
  vpc_id                    = "vpc-1"
  subnet_ids                = { 1 = "subnet-1", 2 = "subnet-2", 3 = "subnet-3" }
  private_cidrs             = { 1 = "10.40.128.0/20", 2 = "10.40.144.0/20", 3 = "10.40.160.0/20" }
  zones                     = { 1 = "eu-central-1a", 2 = "eu-central-1b", 3 = "eu-central-1c" }
  workers_security_group_id = "sg-workers"
  ami_id                    = "ami-0123456789abcdef0"
  instance_type             = "t4g.small"
  image                     = "zookeeper:3.9.4"
  disk_gib                  = 10
  secret_arn                = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:servers"
  kms_key_arn               = null
  deletion_protection       = true
  log_retention_days        = 30
}

run "ensemble" {
  module {
    source = "./modules/ensemble"
  }

  assert {
    condition     = length(aws_instance.server) == 3 && toset([for volume in aws_ebs_volume.data : volume.availability_zone]) == toset(values(var.zones))
    error_message = "Three servers in three zones."
  }

  assert {
    condition     = toset(flatten([for port in aws_network_interface.server : port.private_ips])) == toset(["10.40.128.10", "10.40.144.10", "10.40.160.10"])
    error_message = "Addresses are fixed."
  }

  assert {
    condition     = alltrue([for volume in aws_ebs_volume.data : volume.encrypted && volume.type == "gp3"]) && alltrue([for server in aws_instance.server : server.root_block_device[0].encrypted])
    error_message = "All disks are encrypted."
  }

  assert {
    condition     = alltrue([for server in aws_instance.server : server.metadata_options[0].http_tokens == "required" && server.metadata_options[0].http_put_response_hop_limit == 1 && server.maintenance_options[0].auto_recovery == "default"])
    error_message = "IMDSv2 with one hop, and a machine that fails is recovered."
  }

  assert {
    condition     = !strcontains(aws_iam_role_policy.this.policy, "dynamodb") && !strcontains(aws_iam_role_policy.this.policy, "elasticache") && !strcontains(aws_iam_role_policy.this.policy, "memorydb") && !strcontains(aws_iam_role_policy.this.policy, "s3:")
    error_message = "The ensemble has nothing to do with archive, log and files."
  }

  assert {
    condition = alltrue([
      aws_vpc_security_group_ingress_rule.workers.referenced_security_group_id == "sg-workers",
      aws_vpc_security_group_ingress_rule.workers.from_port == 2281,
      alltrue([for rule in aws_vpc_security_group_ingress_rule.each_other : rule.referenced_security_group_id == aws_security_group.ensemble.id && rule.cidr_ipv4 == null]),
    ])
    error_message = "Workers come in by TLS, servers to each other, nobody else at all."
  }

  assert {
    condition     = alltrue([for place, text in output.user_data : length(base64gzip(text)) < 21800 && length(yamldecode(text).write_files) == 6])
    error_message = "User data is too long, or no cloud-config."
  }

  assert {
    condition = alltrue([
      for place, text in output.user_data : alltrue([
        for file in yamldecode(text).write_files : !strcontains(base64decode(file.content), "BEGIN ") if startswith(file.path, "/etc/")
      ])
    ])
    error_message = "There is a key in user data."
  }

  assert {
    condition = alltrue([
      for line in ["secureClientPort=2281", "ssl.clientAuth=need", "sslQuorum=true", "enforce.auth.schemes=sasl", "server.3=zk-3.chat.internal:2888:3888"] :
      strcontains(base64decode(yamldecode(output.user_data["1"]).write_files[1].content), "${line}\n")
    ])
    error_message = "zoo.cfg lacks what keeps others out."
  }

  assert {
    condition     = !can(regex("(?m)^clientPort=", base64decode(yamldecode(output.user_data["1"]).write_files[1].content)))
    error_message = "There is a port without TLS."
  }
}

run "no_two_servers" {
  command = plan

  module {
    source = "./modules/ensemble"
  }

  variables {
    subnet_ids = { 1 = "subnet-1", 2 = "subnet-2" }
  }

  expect_failures = [var.subnet_ids]
}
