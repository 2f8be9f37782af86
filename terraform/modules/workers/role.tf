# What a worker may do. Every worker may become the leader, so all have the same rights, and nobody else has them.

resource "aws_iam_role" "this" {
  name_prefix = "${var.name}-worker-"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "ec2.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  })
}

locals {
  group_arn = "arn:${data.aws_partition.here.partition}:autoscaling:${data.aws_region.here.region}:${data.aws_caller_identity.here.account_id}:autoScalingGroup:*:autoScalingGroupName/${var.name}-workers"

  pulls = var.image_repository_arn == null ? [] : [
    {
      Sid      = "Registry"
      Effect   = "Allow"
      Action   = ["ecr:GetAuthorizationToken"]
      Resource = "*" # the action knows no other
    },
    {
      Sid      = "Image"
      Effect   = "Allow"
      Action   = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:BatchCheckLayerAvailability"]
      Resource = var.image_repository_arn
    },
  ]

  decrypts = var.kms_key_arn == null ? [] : [{
    Sid      = "KeyOfSecretArchiveAndFiles"
    Effect   = "Allow"
    Action   = ["kms:Decrypt", "kms:GenerateDataKey"]
    Resource = var.kms_key_arn
    Condition = {
      StringEquals = {
        "kms:ViaService" = [for service in ["secretsmanager", "dynamodb", "s3"] : "${service}.${data.aws_region.here.region}.amazonaws.com"]
      }
    }
  }]
}

resource "aws_iam_role_policy" "this" {
  name = "worker"
  role = aws_iam_role.this.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat([
      {
        Sid    = "Archive"
        Effect = "Allow"
        Action = [
          "dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query", "dynamodb:PutItem", "dynamodb:UpdateItem",
          "dynamodb:DeleteItem", "dynamodb:ConditionCheckItem",
        ]
        Resource = var.archive_table_arn
      },
      {
        Sid      = "MessageLog"
        Effect   = "Allow"
        Action   = var.log_sign_in.action
        Resource = var.log_sign_in.resources
      },
      {
        Sid      = "Files"
        Effect   = "Allow"
        Action   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"]
        Resource = ["${var.files_bucket_arn}/attachments/*", "${var.files_bucket_arn}/exports/*"]
      },
      {
        Sid      = "OwnSecret"
        Effect   = "Allow"
        Action   = "secretsmanager:GetSecretValue"
        Resource = var.secret_arn
      },
      {
        Sid      = "OwnLog"
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = "${aws_cloudwatch_log_group.this.arn}:*"
      },
      {
        Sid       = "OwnMetrics"
        Effect    = "Allow"
        Action    = "cloudwatch:PutMetricData"
        Resource  = "*" # the action knows no other; the condition bounds it
        Condition = { StringEquals = { "cloudwatch:namespace" = local.metrics_namespace } }
      },
      {
        Sid      = "SayThatItHasDrained"
        Effect   = "Allow"
        Action   = "autoscaling:CompleteLifecycleAction"
        Resource = local.group_arn
      },
    ], local.pulls, local.decrypts)
  })
}

# Session Manager, instead of SSH.
resource "aws_iam_role_policy_attachment" "session" {
  role       = aws_iam_role.this.name
  policy_arn = "arn:${data.aws_partition.here.partition}:iam::aws:policy/AmazonSSMManagedInstanceCore"
}

resource "aws_iam_instance_profile" "this" {
  name_prefix = "${var.name}-worker-"
  role        = aws_iam_role.this.name
}
