-- The first schema: one account, everything it remembers. Times are ms UTC, addresses are normalised text.

-- What the user decided and what the device is. One row.
CREATE TABLE account (
    id            INTEGER PRIMARY KEY CHECK (id = 1),
    jid           TEXT    NOT NULL,
    resource      TEXT,                       -- what the user calls this device
    password      TEXT,
    new_password  TEXT,                       -- the server was asked to take it in the old one's place, and may have
    allow_plain   INTEGER NOT NULL DEFAULT 0,
    connection    TEXT    NOT NULL DEFAULT '{}', -- host, proxy, certificates: JSON, the client's own
    user_agent_id TEXT    NOT NULL,           -- UUIDv4 of the installation (XEP-0388)
    signals       INTEGER NOT NULL DEFAULT 7, -- bits of what contacts are told: 1 arrived, 2 seen, 4 somebody types
    strangers     INTEGER NOT NULL DEFAULT 1, -- whether to notify of what strangers write
    show          INTEGER NOT NULL DEFAULT 1, -- how we are there, as in `presence`
    status        TEXT,                       -- what we say of it
    told          INTEGER NOT NULL DEFAULT 0, -- the newest row of `message` that the app knows of
    indexed       INTEGER NOT NULL DEFAULT 0, -- up to which row of `message` the index of words is
    imported      TEXT,                       -- from which file (XEP-0227) all that was here before the first session came
    openings      INTEGER NOT NULL DEFAULT 0, -- how often the file was opened to be written: behind what the vault knows, it is a copy
    created_at    INTEGER NOT NULL
) STRICT;

-- What the server taught us about logging in: pins, the offer to pipeline, the FAST token. One row, JSON where the
-- value is a machine's own and never queried.
CREATE TABLE login (
    id            INTEGER PRIMARY KEY CHECK (id = 1),
    pins          TEXT    NOT NULL,
    offer         TEXT,
    token         TEXT,                       -- the token to use next
    max_stanza    INTEGER,                    -- XEP-0478, bytes
    archive       INTEGER NOT NULL DEFAULT 0, -- the account's archive (XEP-0313): 0 unknown or none, 1 there, 2 keeps everything
    csi           INTEGER NOT NULL DEFAULT 0, -- XEP-0352 is offered; a row, since a resumed stream sends no features
    pre_approval  INTEGER NOT NULL DEFAULT 0, -- RFC 6121 §3.4 is offered; likewise
    push          INTEGER,                    -- XEP-0357 is offered; NULL: not known yet
    nodes         INTEGER,                    -- nodes of our own (XEP-0163): 0 none, 1 there, 2 with conditions; NULL: not known yet
    server        TEXT,                       -- what it says of itself (XEP-0157, 0455, 0092): JSON
    roster_ver    TEXT                        -- NULL: the server has no versioning or we have no roster yet
) STRICT;

-- The session on the server that we can go back to (XEP-0198). One row.
CREATE TABLE session (
    id            INTEGER PRIMARY KEY CHECK (id = 1),
    jid           TEXT,                       -- full address, NULL before the first bind
    sm            TEXT,                       -- serialised counters, NULL before the first bind
    next_position INTEGER NOT NULL,           -- where the next live message stands
    seen_at       INTEGER NOT NULL DEFAULT 0, -- when the server was last heard
    careful       INTEGER NOT NULL DEFAULT 0, -- 1: one row of ours in flight at a time (STREAM 13)
    check_after   TEXT,                       -- the last id covered before the first unchecked resumption (STREAM 11)
    check_position INTEGER,                   -- where it stands; NULL: nothing is unchecked
    check_edge INTEGER,                       -- where that stood when the check began: what stands below came before
    check_at   INTEGER NOT NULL DEFAULT 0,    -- a time before what follows, by the archive's clock, in case that it forgets the id
    checked_at    INTEGER NOT NULL DEFAULT 0, -- when the archive was last asked for what was dropped
    compared_at   INTEGER NOT NULL DEFAULT 0, -- when everything else that the server tells was last compared
    deaf          INTEGER NOT NULL DEFAULT 0, -- resumptions in a row that were never acknowledged
    choked_at     INTEGER,                    -- how much was handled when something unreadable ended the stream (STREAM 21)
    choked_on     TEXT                        -- its id in the archive, if it was a result of ours
) STRICT;

-- Every counted stanza of ours, from the command to the server's ack. `number` NULL: waiting.
CREATE TABLE outbox (
    seq        INTEGER PRIMARY KEY,
    number     INTEGER UNIQUE,                -- order of sending in this session; NULL: not sent in this session
    kind       INTEGER NOT NULL,              -- 0 message with a row, 1 note, 2 iq of this session, 3 presence, 4 fleeting
    message    INTEGER REFERENCES message (id) ON DELETE CASCADE,
    peer       TEXT    NOT NULL,
    name       TEXT,                          -- its id attribute
    bytes      BLOB    NOT NULL,
    queued_at  INTEGER NOT NULL,
    first_sent INTEGER,                       -- when it was first numbered, in any session
    covered    TEXT,                          -- the last covered archive id before that
    not_after  INTEGER,                       -- it is not to leave later than that
    doubt      INTEGER NOT NULL DEFAULT 0,    -- 1: ask the archive before it is sent again (STREAM 12)
    blamed     INTEGER NOT NULL DEFAULT 0     -- streams that ended while it was alone in flight
) STRICT;
CREATE INDEX outbox_message ON outbox (message) WHERE message IS NOT NULL;
CREATE INDEX outbox_name ON outbox (name) WHERE name IS NOT NULL;
CREATE INDEX outbox_not_after ON outbox (not_after) WHERE not_after IS NOT NULL;
CREATE INDEX outbox_doubt ON outbox (peer, seq) WHERE doubt = 1;

-- iqs that wait for an answer, with what is to be done with it. Survives the process.
CREATE TABLE pending (
    iq       TEXT    PRIMARY KEY,
    peer     TEXT,                            -- NULL: our own account or server
    what     TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE conversation (
    id            INTEGER PRIMARY KEY,
    jid           TEXT    NOT NULL UNIQUE,
    last_position INTEGER NOT NULL DEFAULT 0,
    last_message  INTEGER,
    read_position INTEGER NOT NULL DEFAULT -9223372036854775808,
    read_here     INTEGER NOT NULL DEFAULT 0, -- rows up to this one were on this device's screen when it was last read
    told_read     INTEGER NOT NULL DEFAULT -9223372036854775808, -- what was read when the app was last told
    unread        INTEGER NOT NULL DEFAULT 0,
    cleared       INTEGER,                    -- what an archive brings below it was deleted before it was here
    chat_state    TEXT,                       -- the peer's (XEP-0085)
    takes_states  INTEGER NOT NULL DEFAULT 0, -- the peer knows chat states: 0 unknown, 1 yes, 2 no (XEP-0085 §5.1)
    ours          INTEGER NOT NULL DEFAULT 0, -- we have written in it
    signals       INTEGER,                    -- as in `account`; NULL: as in general
    draft         TEXT,                       -- what was begun and not sent: JSON
    pinned        INTEGER NOT NULL DEFAULT 0,
    muted_until   INTEGER,                    -- ms UTC; the largest number: for ever; NULL: not muted
    archived      INTEGER NOT NULL DEFAULT 0,
    notify        INTEGER NOT NULL DEFAULT 0, -- of: 0 all, 1 mentions, 2 nothing (XEP-0492)
    set_at        INTEGER NOT NULL DEFAULT 0, -- when the last of these four was set, on any device
    settings_due  INTEGER NOT NULL DEFAULT 0  -- 1: our other devices are to be told, 2: being told in this session
) STRICT;
CREATE INDEX conversation_settings_due ON conversation (settings_due) WHERE settings_due <> 0;
CREATE INDEX conversation_listed ON conversation (archived, pinned DESC, last_position DESC);

-- How far conversations were read, as our devices tell each other (XEP-0490), by the archive's ids.
CREATE TABLE displayed (
    jid     TEXT    PRIMARY KEY,              -- with whom
    said    TEXT,                             -- what the node says, or is to say once it is told
    due     INTEGER NOT NULL DEFAULT 0,       -- bits: 1 we have read on, 2 being told in this session
    awaited TEXT                              -- read on another device, and not here yet
) STRICT, WITHOUT ROWID;
CREATE INDEX displayed_due ON displayed (jid) WHERE due <> 0;
CREATE INDEX displayed_awaited ON displayed (awaited) WHERE awaited IS NOT NULL;

-- The archive. `position` is the order that we assign (STREAM 19).
CREATE TABLE message (
    id           INTEGER PRIMARY KEY AUTOINCREMENT, -- in the order of arrival: what the app was told of and what is indexed is below
    conversation INTEGER NOT NULL REFERENCES conversation (id),
    position     INTEGER NOT NULL,
    mine         INTEGER NOT NULL,
    kind         INTEGER NOT NULL,            -- 0 text, 1 placeholder for what could not be built, 2 correction, 3 retraction, 4 reactions, 5 deleted here: a digest is its body, 6 the app's: XML
    sender       TEXT    NOT NULL,            -- full address where known
    body         TEXT    NOT NULL,            -- of reactions: a JSON array
    extra        TEXT,                        -- what it carries beside its text: JSON (proto's Content)
    target       TEXT,                        -- by what name it calls the message that it is about, or answers
    root         INTEGER,                     -- that message, if it is here
    namespace    TEXT,                        -- of what is the app's
    amended      INTEGER NOT NULL DEFAULT 0,  -- corrections, retractions or reactions have it as their root
    hidden       INTEGER NOT NULL DEFAULT 0,  -- is not shown by itself
    at           INTEGER NOT NULL,            -- when it reached the server or us
    written_at   INTEGER,                     -- what its sender claims, where earlier
    name         TEXT,                        -- origin-id, or else the id attribute
    stanza_id    TEXT,                        -- the id attribute where it differs from name
    has_origin   INTEGER NOT NULL DEFAULT 0,
    local_id     TEXT,                        -- made by our own API
    state        INTEGER NOT NULL DEFAULT 0,  -- of our own: 1 queued 2 sent 3 delivered 4 displayed 5 failed
    reason       TEXT,                        -- why it failed
    resent       INTEGER NOT NULL DEFAULT 0,  -- sent more than once: the archive may have it twice
    own_failure  INTEGER NOT NULL DEFAULT 0,  -- failed by our own making, 1: an archive hit corrects it (STREAM 15); 2: it has never left
    asks         INTEGER NOT NULL DEFAULT 0   -- bits: 1 wants a receipt, 2 markable
) STRICT;
CREATE INDEX message_order ON message (conversation, position, hidden);
CREATE INDEX message_namespace ON message (namespace, conversation, position) WHERE namespace IS NOT NULL;
-- Who waits for a message of this name, and what was done to a message.
CREATE INDEX message_target ON message (target, conversation) WHERE target IS NOT NULL;
CREATE INDEX message_stood_in ON message (target, conversation) WHERE kind = 5 AND target IS NOT NULL;
CREATE INDEX message_root ON message (root, kind, mine, position) WHERE root IS NOT NULL;
-- Whole, since a contact may give ten thousand messages one name.
CREATE INDEX message_name ON message (name, conversation, mine) WHERE name IS NOT NULL;
CREATE INDEX message_stanza_id ON message (stanza_id, conversation, mine) WHERE stanza_id IS NOT NULL;
-- What a marker may still move: without it each marker would read a conversation to its beginning.
CREATE INDEX message_undisplayed ON message (conversation, position) WHERE mine = 1 AND state IN (2, 3);
CREATE UNIQUE INDEX message_local ON message (local_id) WHERE local_id IS NOT NULL;

-- What is still to be deleted, some rows in each step: all of a conversation, or all from before some time.
CREATE TABLE deletion (
    id           INTEGER PRIMARY KEY,
    conversation INTEGER REFERENCES conversation (id),
    before       INTEGER,
    next         INTEGER NOT NULL DEFAULT 0,  -- rows up to this one are gone
    last         INTEGER NOT NULL,            -- the newest row when it was decided
    root         INTEGER REFERENCES message (id) -- all that was said about this message, and nothing else
) STRICT;

-- Which word stands in which message: no text is kept a second time. What a word is, is decided before it comes here, so FTS5
-- splits at spaces only. A row's number is its place in `indexed`.
CREATE VIRTUAL TABLE word USING fts5 (
    text, content = '', contentless_delete = 1, prefix = '2 3', tokenize = "ascii tokenchars '#'"
);
CREATE TABLE indexed (
    place   INTEGER PRIMARY KEY,              -- in the order of `message.at`, so that the newest are found first
    message INTEGER NOT NULL UNIQUE REFERENCES message (id)
) STRICT;
-- Messages that have changed since they were indexed: looked through one by one until the index has followed.
CREATE TABLE unindexed (
    message INTEGER PRIMARY KEY REFERENCES message (id),
    no_room INTEGER NOT NULL DEFAULT 0        -- 1: too many came at that time to be indexed
) STRICT;
CREATE INDEX unindexed_due ON unindexed (message) WHERE no_room = 0;

-- Which archive knows a message under which id. A resend may have two: it stands where the first has its place.
CREATE TABLE archived (
    id      TEXT    NOT NULL,
    archive TEXT    NOT NULL,
    message INTEGER NOT NULL REFERENCES message (id),
    place   INTEGER NOT NULL,                 -- among positions, in the archive's order
    PRIMARY KEY (id, archive)
) STRICT, WITHOUT ROWID;
CREATE INDEX archived_message ON archived (message);

-- What of an archive we do not have. Between low and high position nothing is known to be complete.
CREATE TABLE gap (
    id            INTEGER PRIMARY KEY,
    archive       TEXT    NOT NULL,
    kind          INTEGER NOT NULL,           -- 0 gap, 1 unfetched (before the first sign-in), 2 no longer on the server
    after_id      TEXT,                       -- last covered id below; NULL: from the archive's beginning
    before_id     TEXT,                       -- of an unfetched region: the first covered id above
    since         INTEGER,                    -- time of the lower edge, for servers that forgot the id;
                                              -- of an unfetched region: the stamp of before_id, or of the one that was forgotten
    low_position  INTEGER NOT NULL,           -- the last known position below, moves up as it is filled
    high_position INTEGER NOT NULL,           -- the first position above
    covered_position INTEGER,                 -- of a gap: where the last message stands that was known before it;
                                              -- of an unfetched region: where the first stands that is known behind it
    reached_position INTEGER,                 -- of a gap: where the last stands that was read, if anything was read
    brought_position INTEGER,                 -- of a gap: where the last stands of a page whose end did not come
    done          INTEGER NOT NULL DEFAULT 0, -- messages fetched so far
    total         INTEGER,                    -- the server's guess
    by_time       INTEGER NOT NULL DEFAULT 0, -- 1: item-not-found was answered, ask with start=; 2: it was, of an unfetched region
    dense         INTEGER NOT NULL DEFAULT 0  -- 1: known messages stand within; what is new squeezes in between
) STRICT;

-- The newest id of each archive that is covered, by live messages or by pages.
CREATE TABLE coverage (
    archive  TEXT    PRIMARY KEY,
    last_id  TEXT,                            -- NULL: the archive was empty
    position INTEGER NOT NULL,                -- where it stands: what is newest is decided by this and by no clock
    last_at  INTEGER NOT NULL                 -- a time before what follows, by the archive's clock; 0: unknown
) STRICT, WITHOUT ROWID;

CREATE TABLE contact (
    jid          TEXT    PRIMARY KEY,
    name         TEXT,
    subscription INTEGER NOT NULL,            -- 0 none 1 to 2 from 3 both
    asked        INTEGER NOT NULL DEFAULT 0,  -- our request is pending
    approved     INTEGER NOT NULL DEFAULT 0,  -- the server accepts their request without asking us (RFC 6121 §3.4)
    groups       TEXT    NOT NULL DEFAULT '[]'
) STRICT, WITHOUT ROWID;

-- Who asks to see our presence and was not answered.
CREATE TABLE subscription_request (
    jid TEXT    PRIMARY KEY,
    at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Tokens that somebody was given (XEP-0379): whoever shows one is accepted, once, until then (ms UTC).
CREATE TABLE invitation (
    token TEXT    PRIMARY KEY,
    until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Who invited us: is accepted when they ask, until then.
CREATE TABLE expected (
    jid   TEXT    PRIMARY KEY,
    until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Whom the user has accepted before they asked, where the server does not keep that.
CREATE TABLE accepted (
    jid TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- What people show of themselves, we too.
CREATE TABLE person (
    jid     TEXT    PRIMARY KEY,
    nick    TEXT,                             -- XEP-0172
    avatar  TEXT,                             -- the hash of their picture
    by_node INTEGER NOT NULL DEFAULT 0,       -- 1: their node says so (XEP-0084), which counts more than a presence (XEP-0153)
    waiting TEXT                              -- it is to be fetched when there is room: its media type, as their node has it
) STRICT, WITHOUT ROWID;
CREATE INDEX person_waiting ON person (jid) WHERE waiting IS NOT NULL;

-- What people say of themselves at length (XEP-0292), as it was when the app asked; our own as it was set.
CREATE TABLE card (
    jid     TEXT    PRIMARY KEY,
    card    TEXT    NOT NULL,                 -- JSON (proto's Card)
    read_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Pictures by their SHA-1.
CREATE TABLE avatar (
    hash    TEXT    PRIMARY KEY,
    kind    TEXT    NOT NULL,                 -- media type
    bytes   BLOB    NOT NULL,
    used_at INTEGER NOT NULL                  -- when it was named last: the oldest go first
) STRICT;
CREATE INDEX avatar_used ON avatar (used_at);

-- Whom we do not want to hear of (XEP-0191): accounts, devices, whole servers.
CREATE TABLE blocked (
    jid    TEXT    PRIMARY KEY,
    listed INTEGER NOT NULL DEFAULT 0,        -- 1: on the server's list
    wanted INTEGER                            -- what the user has decided and the server has not answered: 1 on, 0 off
) STRICT, WITHOUT ROWID;

-- Registrations for push notifications (XEP-0357): the one that is wanted, and old ones until the server has forgotten them.
CREATE TABLE push (
    service TEXT    NOT NULL,                 -- the app server's address
    node    TEXT    NOT NULL,
    secret  TEXT,
    wanted  INTEGER NOT NULL,                 -- 0: to be withdrawn
    told    INTEGER NOT NULL DEFAULT 0,       -- 1: the server may have it; 2: it was withdrawn with the last words of a session
    said    INTEGER NOT NULL DEFAULT 0,       -- in this session: 0 not yet, 1 said, 2 answered
    refused TEXT,                             -- the condition
    PRIMARY KEY (service, node)
) STRICT, WITHOUT ROWID;

-- Names of nodes that the app wants to hear of (XEP-0163 §4.3), and nodes that it has subscribed to (XEP-0060 §6.1).
CREATE TABLE followed (
    node TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;
CREATE TABLE subscribed (
    owner TEXT NOT NULL,
    node  TEXT NOT NULL,
    PRIMARY KEY (owner, node)
) STRICT, WITHOUT ROWID;

-- Entries of feeds (XEP-0277), as far as they are kept.
CREATE TABLE feed_entry (
    id    INTEGER PRIMARY KEY,
    owner TEXT    NOT NULL,                   -- whose feed
    item  TEXT    NOT NULL,                   -- its id there
    at    INTEGER NOT NULL,                   -- when it was published, but never in the future
    entry TEXT    NOT NULL,                   -- JSON (proto's Entry)
    UNIQUE (owner, item)
) STRICT;
CREATE INDEX feed_order ON feed_entry (owner, at, id);

-- Namespaces that the app speaks: 0 questions, 1 messages.
CREATE TABLE claim (
    namespace TEXT    NOT NULL,
    kind      INTEGER NOT NULL,
    PRIMARY KEY (namespace, kind)
) STRICT, WITHOUT ROWID;

-- What the app was asked in this session and has not answered.
CREATE TABLE asked (
    id   INTEGER PRIMARY KEY AUTOINCREMENT,   -- never given twice: an answer that is late is nobody's
    peer TEXT,                                -- NULL: our server
    iq   TEXT    NOT NULL,
    at   INTEGER NOT NULL
) STRICT;

-- How long an idle link lives on a network, in ms (XEP-0286).
CREATE TABLE network (
    id       TEXT    PRIMARY KEY,             -- the platform's, opaque, or else the kind
    survived INTEGER NOT NULL,
    died     INTEGER,                         -- NULL: never seen to die
    held     INTEGER NOT NULL DEFAULT 0,      -- survivals since
    used_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Which devices of contacts are there in this session; emptied by a fresh bind.
CREATE TABLE presence (
    jid      TEXT    PRIMARY KEY,             -- full address
    bare     TEXT    NOT NULL,
    show     INTEGER NOT NULL,                -- 0 chat, 1 available, 2 away, 3 away for long, 4 not to be disturbed
    priority INTEGER NOT NULL,
    text     TEXT,
    idle_at  INTEGER                          -- since when nobody looks (XEP-0319)
) STRICT, WITHOUT ROWID;
CREATE INDEX presence_bare ON presence (bare);

-- What we could not handle: kept raw, counted as handled, shown as a placeholder where it was a message.
CREATE TABLE quarantine (
    id     INTEGER PRIMARY KEY,
    at     INTEGER NOT NULL,
    why    TEXT    NOT NULL,
    input  BLOB    NOT NULL
) STRICT;
CREATE TABLE strike (
    digest BLOB    PRIMARY KEY,
    count  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Who may write. Whoever raises the generation has the lease.
CREATE TABLE lease (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    generation INTEGER NOT NULL,
    held       INTEGER NOT NULL DEFAULT 0,    -- 0: let go of, by a holder that has everything in the file
    asked      INTEGER NOT NULL DEFAULT 0,    -- how often somebody asked the holder for it
    answered   INTEGER NOT NULL DEFAULT 0     -- how many of these the holder has answered: it is alive and stays
) STRICT;

INSERT INTO lease (id, generation) VALUES (1, 0);
INSERT INTO login (id, pins) VALUES (1, '{}');
INSERT INTO session (id, next_position) VALUES (1, 0);
