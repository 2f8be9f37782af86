variable "name" {
  description = "Name of the chat."
  type        = string
}

variable "kms_key_arn" {
  description = "Key that encrypts it; null: AWS' own for S3."
  type        = string
}

variable "deletion_protection" {
  description = "Whether it refuses to be deleted."
  type        = bool
}
