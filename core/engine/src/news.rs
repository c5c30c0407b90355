//! What is new since the app was last told: what to notify its user of, and which notifications to take back.
//!
//! For an app that a push has woken and that nobody looks at. What is told once is not told again; what an app saw before it was
//! suspended it knows from its lists.

use rusqlite::{Row, params};

use crate::{
    account::{Account, Cx},
    api::{ItemId, News},
    blocking::is_blocked,
    error::Result,
    timeline,
};

/// Messages to show at once, and notifications to take back: the newest of them. Nobody looks at more.
const MOST: i64 = 200;

impl Account {
    pub(crate) fn news(&mut self, cx: &mut Cx<'_>) -> Result<News> {
        self.unmute(cx)?;
        let which = format!(
            "m.id > (SELECT told FROM account) AND m.mine = 0 AND m.hidden = 0 AND m.position > c.read_position AND c.unread > 0
             AND c.muted_until IS NULL AND c.notify < 2 AND NOT {} ORDER BY m.position DESC, m.id DESC LIMIT ?1",
            is_blocked("c.jid"),
        );
        let newest = timeline::messages(cx.tx, &which, MOST)?;
        let mut notify: Vec<_> = newest.into_iter().rev().map(|(message, _)| message).collect();
        // What was taken back before anybody saw it is no news.
        notify.retain(|message| !message.retracted);
        self.only_mentions(cx, &mut notify)?;
        let id = |row: &Row<'_>| Ok(ItemId(row.get::<_, i64>(0)?.to_string()));
        let withdraw = cx
            .tx
            .prepare_cached(
                "SELECT m.id FROM conversation AS c JOIN message AS m ON m.conversation = c.id
                 WHERE c.told_read < c.read_position AND m.position > c.told_read AND m.position <= c.read_position
                 AND m.mine = 0 AND m.id <= (SELECT told FROM account)
                 UNION
                 SELECT m.id FROM message AS r JOIN message AS m ON m.id = r.root WHERE r.id > (SELECT told FROM account) AND r.kind = 3
                 AND r.mine = 0 AND m.mine = 0 AND m.id <= (SELECT told FROM account) ORDER BY m.id DESC LIMIT ?1",
            )?
            .query_map(params![MOST], id)?
            .collect::<rusqlite::Result<_>>()?;
        let unread: i64 =
            cx.tx.query_row("SELECT coalesce(sum(unread), 0) FROM conversation", [], |row| row.get(0))?;
        self.told(cx)?;
        Ok(News { notify, withdraw, unread: unread.max(0) as u64 })
    }

    /// The app knows everything that there is by now.
    pub(crate) fn told(&mut self, cx: &mut Cx<'_>) -> Result<()> {
        cx.tx.execute("UPDATE account SET told = (SELECT coalesce(max(id), 0) FROM message)", [])?;
        cx.tx.execute(
            "UPDATE conversation SET told_read = read_position WHERE told_read < read_position",
            [],
        )?;
        Ok(())
    }
}
