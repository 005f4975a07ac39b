from django.db import migrations


class Migration(migrations.Migration):
    """A replayed event that its endpoint never had waits in line, like any first delivery."""

    dependencies = [
        ('payments', '0012_disputed_charges'),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name='delivery',
            name='delivery_replay_is_out_of_line',
        ),
    ]
