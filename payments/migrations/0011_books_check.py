import uuid

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('payments', '0010_disputes'),
    ]

    operations = [
        migrations.CreateModel(
            name='BooksCheck',
            fields=[
                ('name', models.CharField(max_length=32, primary_key=True, serialize=False)),
                ('part', models.CharField(blank=True, max_length=64)),
                ('position', models.UUIDField(default=uuid.UUID('00000000-0000-0000-0000-000000000000'))),
                ('began_at', models.DateTimeField(blank=True, null=True)),
                ('finished_at', models.DateTimeField(blank=True, null=True)),
                ('compared', models.PositiveBigIntegerField(default=0)),
                ('differences', models.PositiveBigIntegerField(default=0)),
                ('unchecked', models.PositiveIntegerField(default=0)),
                ('added_at', models.DateTimeField()),
            ],
            options={
                'verbose_name': 'check of the books',
                'verbose_name_plural': 'checks of the books',
                'db_table': 'payments_books_check',
            },
        ),
    ]
