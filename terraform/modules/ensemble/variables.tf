variable "name" {
  description = "Name of the chat."
  type        = string
}

variable "tags" {
  description = "Tags of the machines."
  type        = map(string)
}

variable "vpc_id" {
  description = "The VPC."
  type        = string
}

variable "subnet_ids" {
  description = "Private subnets, by place (1, 2, 3)."
  type        = map(string)

  validation {
    condition     = length(var.subnet_ids) == 3
    error_message = "An ensemble has three places: with fewer it survives nothing."
  }
}

variable "private_cidrs" {
  description = "Their addresses, by place."
  type        = map(string)
}

variable "zones" {
  description = "Their zones, by place."
  type        = map(string)
}

variable "workers_security_group_id" {
  description = "Who may connect."
  type        = string
}

variable "ami_id" {
  description = "Amazon Linux 2023, of the machines' architecture."
  type        = string
}

variable "instance_type" {
  description = "Type of the machines."
  type        = string
}

variable "image" {
  description = "Image of ZooKeeper."
  type        = string
}

variable "disk_gib" {
  description = "Size of each data disk, in GiB."
  type        = number
}

variable "secret_arn" {
  description = "Password and certificate in Secrets Manager."
  type        = string
}

variable "kms_key_arn" {
  description = "Key of disks, secret and log group; null: AWS' own."
  type        = string
}

variable "deletion_protection" {
  description = "Whether disks leave a snapshot behind."
  type        = bool
}

variable "log_retention_days" {
  description = "Days that logs are kept."
  type        = number
}
