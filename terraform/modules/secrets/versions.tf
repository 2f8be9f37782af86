terraform {
  # 1.11: write-only arguments, which keep secrets out of the state.
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source = "hashicorp/aws"
      # 6.51: `durability` of an ElastiCache replication group.
      version = ">= 6.51, < 7.0"
    }
  }
}
