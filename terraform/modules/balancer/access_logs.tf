# The balancer's access logs. It can write only into a bucket encrypted by S3 itself, not by a KMS key.

data "aws_caller_identity" "here" {}

data "aws_partition" "here" {}

resource "aws_s3_bucket" "access" {
  # checkov:skip=CKV_AWS_18:This is the bucket of access logs; logging its own accesses would never end.
  # checkov:skip=CKV_AWS_144:Access logs of one region's balancer are not worth a copy in another.
  # checkov:skip=CKV_AWS_145:Application load balancers cannot write into a bucket that is encrypted with KMS.
  # checkov:skip=CKV2_AWS_62:Nobody acts on a new log file.
  bucket_prefix = "${var.name}-access-"
  force_destroy = !var.deletion_protection
}

resource "aws_s3_bucket_public_access_block" "access" {
  bucket = aws_s3_bucket.access.id

  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "access" {
  bucket = aws_s3_bucket.access.id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "access" {
  bucket = aws_s3_bucket.access.id

  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

resource "aws_s3_bucket_versioning" "access" {
  bucket = aws_s3_bucket.access.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "access" {
  bucket = aws_s3_bucket.access.id

  rule {
    id     = "forget"
    status = "Enabled"

    filter {}

    expiration {
      days = 90
    }

    noncurrent_version_expiration {
      noncurrent_days = 7
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }
  }

  depends_on = [aws_s3_bucket_versioning.access]
}

resource "aws_s3_bucket_policy" "access" {
  bucket = aws_s3_bucket.access.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "TheBalancerWrites"
        Effect    = "Allow"
        Principal = { Service = "logdelivery.elasticloadbalancing.amazonaws.com" }
        Action    = "s3:PutObject"
        Resource  = "${aws_s3_bucket.access.arn}/balancer/AWSLogs/${data.aws_caller_identity.here.account_id}/*"
      },
      {
        Sid       = "TlsOnly"
        Effect    = "Deny"
        Principal = "*"
        Action    = "s3:*"
        Resource  = [aws_s3_bucket.access.arn, "${aws_s3_bucket.access.arn}/*"]
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
    ]
  })

  depends_on = [aws_s3_bucket_public_access_block.access, aws_s3_bucket_ownership_controls.access]
}
