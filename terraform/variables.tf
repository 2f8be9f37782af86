variable "name" {
  description = "Name of the chat; everything is called after it. Two stacks in one account need two names."
  type        = string
  default     = "dchat"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,17}[a-z0-9]$", var.name))
    error_message = "name is 3 to 19 characters, a-z, 0-9 and -, and begins with a letter: names of balancers and clusters are made from it."
  }
}

variable "tags" {
  description = "Tags for what the provider's default_tags do not reach: machines and their disks."
  type        = map(string)
  default     = {}
}

variable "deletion_protection" {
  description = "Whether archive, balancer and files refuse to be deleted. Set it to false, apply, and only then destroy."
  type        = bool
  default     = true
}

variable "customer_key" {
  description = "Whether a KMS key of your own encrypts disks, archive, log, secrets and log groups, instead of AWS' keys."
  type        = bool
  default     = false
}

variable "log_retention_days" {
  description = "Days that CloudWatch keeps the logs of workers, ensemble and network."
  type        = number
  default     = 30

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1827], var.log_retention_days)
    error_message = "log_retention_days is one of the spans CloudWatch knows: 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1827."
  }
}

# Network and door

variable "vpc_cidr" {
  description = "Addresses of the VPC, a /16 to /20. Each of the three zones gets a public and a private sixteenth of it."
  type        = string
  default     = "10.40.0.0/16"

  validation {
    condition     = can(cidrnetmask(var.vpc_cidr)) && try(tonumber(split("/", var.vpc_cidr)[1]) >= 16 && tonumber(split("/", var.vpc_cidr)[1]) <= 20, false)
    error_message = "vpc_cidr is an IPv4 range from /16 to /20, such as 10.40.0.0/16."
  }
}

variable "zones" {
  description = "Names of the three zones; null takes the region's first three. Pin them where a zone may be added: other zones are other subnets."
  type        = list(string)
  default     = null

  validation {
    condition     = var.zones == null ? true : length(distinct(var.zones)) == 3
    error_message = "zones are three different ones."
  }
}

variable "nat_gateways" {
  description = "NAT gateways: 1 saves money, and its zone's loss cuts the others off from image registry and AWS' own end points; 3 does not."
  type        = number
  default     = 1

  validation {
    condition     = contains([1, 3], var.nat_gateways)
    error_message = "nat_gateways is 1 (cheap) or 3 (one a zone)."
  }
}

variable "allowed_cidrs" {
  description = "Who may reach the balancer. Nothing else of the stack can be reached from outside."
  type        = list(string)
  default     = ["0.0.0.0/0"]

  validation {
    condition     = length(var.allowed_cidrs) > 0 && alltrue([for each in var.allowed_cidrs : can(cidrnetmask(each))])
    error_message = "allowed_cidrs is a list of IPv4 ranges, such as [\"203.0.113.0/24\"]."
  }
}

variable "certificate_arn" {
  description = "ACM certificate of the chat's name, in the same region. With it :80 redirects to :443."
  type        = string
  default     = null

  validation {
    condition     = var.certificate_arn == null || can(regex("^arn:[a-z-]+:acm:", var.certificate_arn))
    error_message = "certificate_arn is the ARN of an ACM certificate."
  }

  validation {
    condition     = var.certificate_arn != null || var.allow_plain_http
    error_message = "Without certificate_arn passwords travel in the clear. Give one, or say allow_plain_http = true for a demonstration."
  }
}

variable "allow_plain_http" {
  description = "Whether the chat may be served without TLS when there is no certificate. For demonstrations only."
  type        = bool
  default     = false
}

variable "domain" {
  description = "Route 53 zone and the name in it at which the chat is reached; null leaves DNS to you."
  type = object({
    zone_id = string
    name    = string
  })
  default = null
}

variable "web_firewall" {
  description = "Whether AWS WAF stands before the balancer: known bad requests, and a limit of requests an address."
  type        = bool
  default     = false
}

variable "requests_per_address" {
  description = "With web_firewall: requests that one address may make in five minutes. A company behind one address is many people."
  type        = number
  default     = 20000

  validation {
    condition     = var.requests_per_address >= 1000 && var.requests_per_address <= 2000000000
    error_message = "requests_per_address is 1000 to 2000000000."
  }
}

# Workers

variable "image" {
  description = "Container image of D-Chat, pinned by digest: a new image under an old tag would change nothing, and machines would differ."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9./:_-]*@sha256:[0-9a-f]{64}$", var.image))
    error_message = "image is given by digest: registry/repository@sha256:<64 hex digits>."
  }
}

variable "image_repository_arn" {
  description = "ARN of the image's ECR repository, which workers are then allowed to pull from; null for a public image."
  type        = string
  default     = null

  validation {
    condition     = var.image_repository_arn == null || can(regex("^arn:[a-z-]+:ecr:", var.image_repository_arn))
    error_message = "image_repository_arn is the ARN of an ECR repository."
  }
}

variable "workers" {
  description = "Machines that run a worker each: how many (at least 3, one a zone), of which type, with which CPU, and at how many open streams and how much CPU (percent) there should be one more."
  type = object({
    min           = optional(number, 3)
    max           = optional(number, 4)
    instance_type = optional(string, "t4g.small")
    architecture  = optional(string, "arm64")
    streams_each  = optional(number, 5000)
    cpu_percent   = optional(number, 60)
  })
  default = {}

  validation {
    condition     = var.workers.min >= 3 && var.workers.max >= var.workers.min && var.workers.max <= 64
    error_message = "workers.min is at least 3 (one a zone), workers.max not less than it and at most 64."
  }

  validation {
    condition     = contains(["arm64", "x86_64"], var.workers.architecture)
    error_message = "workers.architecture is arm64 or x86_64, as the instance type has it."
  }

  validation {
    condition     = var.workers.streams_each >= 100 && var.workers.streams_each <= 16000
    error_message = "workers.streams_each is 100 to 16000: a worker refuses more than 20000, and those of one that dies go to the others."
  }

  validation {
    condition     = var.workers.cpu_percent >= 20 && var.workers.cpu_percent <= 90
    error_message = "workers.cpu_percent is 20 to 90."
  }
}

variable "ami_id" {
  description = "Amazon Linux 2023 image of workers and ensemble. null takes the newest at each apply, which then replaces the workers one after another."
  type        = string
  default     = null

  validation {
    condition     = var.ami_id == null || can(regex("^ami-[0-9a-f]{8,17}$", var.ami_id))
    error_message = "ami_id looks like ami-0123456789abcdef0."
  }
}

variable "settings" {
  description = "More settings of the workers, by their DCHAT_ name (docs/configuration.md), and OpenTelemetry's (docs/tracing.md). What the stack sets itself cannot be set here, nor can secrets."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for key in keys(var.settings) : can(regex("^(DCHAT|OTEL)_[A-Z0-9_]+$", key))])
    error_message = "settings holds only DCHAT_ and OTEL_ variables."
  }

  validation {
    condition     = alltrue([for key in keys(var.settings) : !can(regex("^OTEL_.*_HEADERS$", key))])
    error_message = "Headers for a collector are secrets as a rule, and settings are none: let a collector in between add them."
  }

  validation {
    condition = length(setintersection(keys(var.settings), [
      "DCHAT_HOST", "DCHAT_PORT", "DCHAT_REDIS_URL", "DCHAT_ACK", "DCHAT_DATA_DIR", "DCHAT_ZOOKEEPER",
      "DCHAT_ZOOKEEPER_AUTH", "DCHAT_ZOOKEEPER_SASL", "DCHAT_ZOOKEEPER_CA", "DCHAT_ZOOKEEPER_CERT", "DCHAT_ZOOKEEPER_KEY",
      "DCHAT_DYNAMODB_TABLE", "DCHAT_DYNAMODB_REGION", "DCHAT_DYNAMODB_ENDPOINT", "DCHAT_PING_INTERVAL_S", "DCHAT_DRAIN_S",
      "DCHAT_TRUSTED_PROXIES", "DCHAT_WORKERS", "DCHAT_PORT_PER_WORKER",
    ])) == 0
    error_message = "settings names a variable that the stack itself sets (addresses, secrets, ping, drain, proxies, processes)."
  }

  validation {
    condition     = alltrue([for value in values(var.settings) : !can(regex("[\r\n]", value))])
    error_message = "A setting is one line."
  }
}

# Message log

variable "log" {
  description = "Where acknowledged messages live. kind: \"elasticache\" (Valkey with synchronous durability) or \"memorydb\"; both acknowledge a write when two zones have it. node_type null is the smallest that will do."
  type = object({
    kind          = optional(string, "elasticache")
    node_type     = optional(string)
    shards        = optional(number, 1)
    replicas      = optional(number, 1)
    snapshot_days = optional(number, 7)
  })
  default = {}

  validation {
    condition     = contains(["elasticache", "memorydb"], var.log.kind)
    error_message = "log.kind is elasticache or memorydb. Anything else, plain replication too, loses acknowledged messages in a failover."
  }

  validation {
    condition     = var.log.replicas >= 1 && var.log.replicas <= 5
    error_message = "log.replicas is 1 to 5: without a replica there is nobody to fail over to."
  }

  validation {
    condition     = var.log.shards >= 1 && var.log.shards <= 16
    error_message = "log.shards is 1 to 16, for the chat has 16 shards to spread (DCHAT_SHARDS)."
  }

  validation {
    condition     = var.log.snapshot_days >= 1 && var.log.snapshot_days <= 35
    error_message = "log.snapshot_days is 1 to 35."
  }

  validation {
    condition = var.log.node_type == null ? true : (
      var.log.kind == "memorydb" ? startswith(var.log.node_type, "db.") : can(regex("^cache\\.([rm][6-9]g|c[7-9]gn)\\.", var.log.node_type))
    )
    error_message = "log.node_type is db.… for memorydb, and for elasticache cache.r6g…, cache.m6g…, cache.c7gn… or later: t4g and r6gd cannot be durable."
  }
}

# Ensemble

variable "ensemble" {
  description = "ZooKeeper: type and architecture of its three machines, its image (public.ecr.aws/docker/library/zookeeper by default), size of each data disk in GiB, and DCHAT_ZOOKEEPER_GENERATION, one more each time the data of all three was lost."
  type = object({
    instance_type = optional(string, "t4g.small")
    architecture  = optional(string, "arm64")
    image         = optional(string, "public.ecr.aws/docker/library/zookeeper:3.9.4")
    disk_gib      = optional(number, 10)
    generation    = optional(number, 0)
  })
  default = {}

  validation {
    condition     = can(regex("(:[0-9]+\\.[0-9]+\\.[0-9]+|@sha256:[0-9a-f]{64})$", var.ensemble.image))
    error_message = "ensemble.image has a full version (:3.9.4) or a digest (@sha256:…); never latest."
  }

  validation {
    condition     = contains(["arm64", "x86_64"], var.ensemble.architecture)
    error_message = "ensemble.architecture is arm64 or x86_64, as the instance type has it."
  }

  validation {
    condition     = var.ensemble.disk_gib >= 4 && var.ensemble.disk_gib <= 1000
    error_message = "ensemble.disk_gib is 4 to 1000."
  }

  validation {
    condition     = var.ensemble.generation >= 0 && var.ensemble.generation <= 100
    error_message = "ensemble.generation is 0 to 100."
  }
}

variable "zookeeper_secrets" {
  description = "Password and certificates of the ensemble, as scripts/zookeeper-secrets.sh writes them. Ephemeral: in neither plan nor state. Needed when they are new, that is at the first apply and whenever zookeeper_secrets_version goes up."
  type = object({
    password    = string
    ca          = string
    server      = string
    worker_cert = string
    worker_key  = string
  })
  default   = null
  ephemeral = true
  sensitive = true

  validation {
    condition     = var.zookeeper_secrets == null ? true : can(regex("^[A-Za-z0-9_-]{24,}$", var.zookeeper_secrets.password))
    error_message = "zookeeper_secrets.password has at least 24 characters of A-Z, a-z, 0-9, _ and -."
  }
}

variable "zookeeper_secrets_version" {
  description = "One more whenever zookeeper_secrets are new ones."
  type        = number
  default     = 1

  validation {
    condition     = var.zookeeper_secrets_version >= 1 && floor(var.zookeeper_secrets_version) == var.zookeeper_secrets_version
    error_message = "zookeeper_secrets_version is a whole number from 1."
  }
}

# Who is told

variable "alarm_email" {
  description = "Address that alarms are mailed to, after its owner has confirmed; null mails nobody."
  type        = string
  default     = null

  validation {
    condition     = var.alarm_email == null || can(regex("^[^@\\s]+@[^@\\s]+$", var.alarm_email))
    error_message = "alarm_email is a mail address."
  }
}

variable "alarm_topic_arns" {
  description = "SNS topics that alarms are also sent to, such as that of a pager."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for each in var.alarm_topic_arns : can(regex("^arn:[a-z-]+:sns:", each))])
    error_message = "alarm_topic_arns are ARNs of SNS topics."
  }
}
