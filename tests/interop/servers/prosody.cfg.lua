-- For Prosody 0.12 (Debian bookworm) and 13 (trixie) alike. Started by prosody.sh, which sets the environment:
--   WHIMBREL_DIR           where everything lies: data, certificates, log
--   WHIMBREL_PORT          STARTTLS here, direct TLS +1, server to server +2 and +3, http +4, https +5
--   WHIMBREL_PROSODY_13    set when the modules that need the newer core can be loaded
--   WHIMBREL_MAM_PAGE      largest page of the archive; Prosody's own default (50) if unset
--   WHIMBREL_HIBERNATION   seconds that a session waits for its client to come back; 600 if unset
--   WHIMBREL_LARGEST       bytes of the largest stanza that a client may send; half a megabyte if unset
--   WHIMBREL_ARCHIVE       "sql": archives in SQLite and not in files that are read from the beginning for each page
--   WHIMBREL_LOG           level of the log; "info" if unset, "debug" shows every stanza

local lua = Lua or _G -- 13 wants its own functions asked for by name, 0.12 has no such table
local dir = lua.assert(lua.os.getenv("WHIMBREL_DIR"), "WHIMBREL_DIR is not set")
local first_port = lua.assert(lua.tonumber(lua.os.getenv("WHIMBREL_PORT")), "WHIMBREL_PORT is not set")
local function port(offset) return { first_port + offset } end
local function certificate(host)
	return { key = dir.."/certs/"..host..".key", certificate = dir.."/certs/"..host..".crt" }
end

-- One directory, no daemon, no account of its own: the server lives as long as the test that started it.
run_as_root = true
daemonize = false
data_path = dir.."/data"
certificates = dir.."/certs"
pidfile = dir.."/prosody.pid"
admin_socket = dir.."/prosody.sock"
log = { { levels = { min = lua.os.getenv("WHIMBREL_LOG") or "info" }, to = "file", filename = dir.."/server.log" } }
network_backend = "epoll"

-- Loopback only.
interfaces = { "127.0.0.1" }
local_interfaces = { "127.0.0.1" }
c2s_ports = port(0)
c2s_direct_tls_ports = port(1)
s2s_ports = port(2)
s2s_direct_tls_ports = port(3)
http_ports = port(4)
https_ports = port(5)
c2s_direct_tls_ssl = certificate("a.test")
https_ssl = certificate("localhost")
http_host = "localhost"
http_external_url = "https://localhost:"..(first_port + 5).."/"
trusted_proxies = { "127.0.0.1" }

c2s_require_encryption = true
allow_unencrypted_plain_auth = false
ssl = { protocol = "tlsv1_2+" }
authentication = "internal_hashed"
password_hash = "SHA-256"
local in_sql = lua.os.getenv("WHIMBREL_ARCHIVE") == "sql"
storage = in_sql and { archive = "sql" } or "internal"
default_storage = "internal"
if in_sql then
	sql = { driver = "SQLite3", database = data_path.."/prosody.sqlite" }
end

-- What a well-kept public server runs. A local list: a setting that was set cannot be read back.
local modules = {
	"saslauth", "tls", "disco", "roster", "version", "time", "uptime", "ping", "posix", "limits", "lastactivity",
	"carbons", "csi", "csi_simple", "smacks", "mam", "offline", "tombstones",
	"pep", "bookmarks", "private", "blocklist", "vcard4", "vcard_legacy", "cloud_notify",
	"register", "register_ibr", "invites", "invites_adhoc", "invites_register", "user_account_management",
	"admin_adhoc", "admin_shell", "bosh", "websocket", "server_contact_info", "watchregistrations",
}
if lua.os.getenv("WHIMBREL_PROSODY_13") then
	-- bookworm packages these too, but in versions that crash on its own 0.12.3: SASL2 is what the newer server is for.
	for _, name in lua.ipairs({
		"sasl2", "sasl2_bind2", "sasl2_sm", "sasl2_fast",
		"account_activity", "cron", "flags", "http_altconnect", "s2s_bidi",
	}) do
		lua.table.insert(modules, name)
	end
end
modules_enabled = modules
modules_disabled = { "s2s_auth_dane_in" }

allow_registration = true
registration_invite_only = false
min_seconds_between_registrations = 0
contact_info = { abuse = { "mailto:abuse@a.test", "xmpp:alice@a.test" }, support = { "https://a.test/help" } }

archive_expires_after = "never"
default_archive_policy = true
local page = lua.tonumber(lua.os.getenv("WHIMBREL_MAM_PAGE") or "")
if page then
	max_archive_query_results = page
end

smacks_hibernation_time = lua.tonumber(lua.os.getenv("WHIMBREL_HIBERNATION") or "") or 600
smacks_max_hibernated_sessions = 20

limits = { c2s = { rate = "10mb/s" }, s2sin = { rate = "10mb/s" } }
c2s_stanza_size_limit = lua.tonumber(lua.os.getenv("WHIMBREL_LARGEST") or "") or 512 * 1024
pep_max_items = 1000

VirtualHost "a.test"
VirtualHost "b.test"
	-- For commands of more than one step.
	admins = { "bob@b.test" }
VirtualHost "localhost"

Component "muc.a.test" "muc"
	modules_enabled = { "muc_mam" }
	restrict_room_creation = false
	muc_room_default_public = true

Component "upload.a.test" "http_file_share"
	http_host = "localhost"
	http_file_share_size_limit = 16 * 1024 * 1024
	http_file_share_access = { "a.test", "b.test", "localhost" }
