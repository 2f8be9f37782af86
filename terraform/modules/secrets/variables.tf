variable "name" {
  description = "Name of the chat."
  type        = string
}

variable "kms_key_arn" {
  description = "Key that encrypts the secrets; null: AWS' own."
  type        = string
}

variable "zookeeper" {
  description = "Password and certificates of the ensemble; null when they have not changed."
  type = object({
    password    = string
    ca          = string
    server      = string
    worker_cert = string
    worker_key  = string
  })
  ephemeral = true
  sensitive = true
}

variable "secrets_version" {
  description = "One more whenever they are new."
  type        = number
}
