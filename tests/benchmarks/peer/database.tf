# The database `main`, its secret and its alarms.

resource "aws_security_group" "database" {
  for_each    = local.copies
  name        = "joiabagur-prod${each.key}-main"
  description = "PostgreSQL from the API"
  vpc_id      = data.aws_vpc.default.id
}

resource "aws_vpc_security_group_ingress_rule" "database" {
  for_each                     = local.services
  security_group_id            = aws_security_group.database[each.key].id
  referenced_security_group_id = aws_security_group.api[each.key].id
  ip_protocol                  = "tcp"
  from_port                    = 5432
  to_port                      = 5432
}

resource "aws_db_subnet_group" "main" {
  for_each   = local.copies
  name       = "joiabagur-prod${each.key}-main"
  subnet_ids = data.aws_subnets.default.ids
}

resource "aws_db_instance" "main" {
  for_each                   = local.copies
  identifier                 = "joiabagur-prod${each.key}-main"
  engine                     = "postgres"
  engine_version             = "16"
  engine_lifecycle_support   = "open-source-rds-extended-support-disabled"
  instance_class             = "db.t3.micro"
  allocated_storage          = 20
  storage_type               = "gp2"
  storage_encrypted          = true
  db_name                    = "joiabagur"
  username                   = "joiabagur"
  password                   = var.password
  port                       = 5432
  db_subnet_group_name       = aws_db_subnet_group.main[each.key].name
  vpc_security_group_ids     = [aws_security_group.database[each.key].id]
  publicly_accessible        = false
  multi_az                   = false
  backup_retention_period    = 7
  backup_window              = "03:00-04:00"
  maintenance_window         = "sun:04:30-sun:05:30"
  auto_minor_version_upgrade = true
  copy_tags_to_snapshot      = true
  deletion_protection        = true
  skip_final_snapshot        = true
}

resource "aws_cloudwatch_metric_alarm" "database" {
  for_each = { for pair in setproduct(local.suffixes, keys(local.database_alarms)) : "${pair[1]}${pair[0]}" => {
    suffix = pair[0], metric = pair[1], settings = local.database_alarms[pair[1]]
  } }
  alarm_name          = "joiabagur-prod${each.value.suffix}-main-${each.value.metric}"
  namespace           = "AWS/RDS"
  metric_name         = each.value.metric
  dimensions          = { DBInstanceIdentifier = "joiabagur-prod${each.value.suffix}-main" }
  statistic           = "Average"
  period              = 300
  evaluation_periods  = 3
  comparison_operator = each.value.settings[0]
  threshold           = each.value.settings[1]
  alarm_actions       = [aws_sns_topic.alerts.arn]
}

locals {
  database_alarms = {
    DatabaseConnections = ["GreaterThanThreshold", 60]
    FreeStorageSpace    = ["LessThanThreshold", 4294967296]
    CPUCreditBalance    = ["LessThanThreshold", 20]
  }
}

resource "aws_secretsmanager_secret" "app" {
  for_each = local.copies
  name     = "joiabagur-prod${each.key}"
}

resource "aws_secretsmanager_secret_version" "app" {
  for_each  = local.copies
  secret_id = aws_secretsmanager_secret.app[each.key].id
  secret_string = jsonencode({
    "ConnectionStrings:DefaultConnection" = join(";", [
      "Host=${aws_db_instance.main[each.key].address}", "Port=5432", "Database=joiabagur", "Username=joiabagur",
      "Password=${var.password}", "Minimum Pool Size=5", "Maximum Pool Size=10",
    ])
    "Jwt:SecretKey"     = var.password
    "Jwt:Issuer"        = "JoiabagurPV"
    "Jwt:Audience"      = "JoiabagurPV-Client"
    "Aws:S3:BucketName" = aws_s3_bucket.this["files${each.key}"].bucket
    "Aws:Region"        = local.region
  })
}
