"""Leaves room in the pages of notifications: a row that changes moves within its page.

Of such a change only what differs is logged, and not the notification's body again. It holds for
pages that are written from now on.
"""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("payments", "0027_indexes_of_deliveries")]

    operations = [
        migrations.RunSQL(
            "ALTER TABLE payments_psp_notification SET (fillfactor = 60)",
            "ALTER TABLE payments_psp_notification RESET (fillfactor)",
        )
    ]
