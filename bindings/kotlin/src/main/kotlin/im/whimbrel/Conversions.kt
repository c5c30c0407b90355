/** From what is generated to the face and back, exhaustively: a case that is new there does not compile here. */
package im.whimbrel

import im.whimbrel.ffi.Change as FfiChange
import im.whimbrel.ffi.ChangeKind as FfiChangeKind
import im.whimbrel.ffi.ChatState as FfiChatState
import im.whimbrel.ffi.Connection as FfiConnection
import im.whimbrel.ffi.Contact as FfiContact
import im.whimbrel.ffi.Conversation as FfiConversation
import im.whimbrel.ffi.Draft as FfiDraft
import im.whimbrel.ffi.Event as FfiEvent
import im.whimbrel.ffi.Found as FfiFound
import im.whimbrel.ffi.FoundIn as FfiFoundIn
import im.whimbrel.ffi.FoundPlace as FfiFoundPlace
import im.whimbrel.ffi.Gap as FfiGap
import im.whimbrel.ffi.GapKind as FfiGapKind
import im.whimbrel.ffi.Hit as FfiHit
import im.whimbrel.ffi.Item as FfiItem
import im.whimbrel.ffi.Link as FfiLink
import im.whimbrel.ffi.LogLevel as FfiLogLevel
import im.whimbrel.ffi.Message as FfiMessage
import im.whimbrel.ffi.Mute as FfiMute
import im.whimbrel.ffi.Network as FfiNetwork
import im.whimbrel.ffi.NetworkKind as FfiNetworkKind
import im.whimbrel.ffi.Notify as FfiNotify
import im.whimbrel.ffi.Options as FfiOptions
import im.whimbrel.ffi.Mention as FfiMention
import im.whimbrel.ffi.MessageThread as FfiMessageThread
import im.whimbrel.ffi.Outgoing as FfiOutgoing
import im.whimbrel.ffi.Picture as FfiPicture
import im.whimbrel.ffi.Presence as FfiPresence
import im.whimbrel.ffi.PresenceSubscription as FfiPresenceSubscription
import im.whimbrel.ffi.Preview as FfiPreview
import im.whimbrel.ffi.Push as FfiPush
import im.whimbrel.ffi.PushState as FfiPushState
import im.whimbrel.ffi.Report as FfiReport
import im.whimbrel.ffi.ReportReason as FfiReportReason
import im.whimbrel.ffi.Scope as FfiScope
import im.whimbrel.ffi.Search as FfiSearch
import im.whimbrel.ffi.SendState as FfiSendState
import im.whimbrel.ffi.Server as FfiServer
import im.whimbrel.ffi.Show as FfiShow
import im.whimbrel.ffi.Signals as FfiSignals
import im.whimbrel.ffi.Srv as FfiSrv
import im.whimbrel.ffi.Status as FfiStatus
import im.whimbrel.ffi.Style as FfiStyle
import im.whimbrel.ffi.Unusable as FfiUnusable
import im.whimbrel.ffi.WakeUp as FfiWakeUp
import im.whimbrel.ffi.WhimbrelException as FfiException
import kotlin.time.Duration
import kotlin.time.Duration.Companion.seconds
import kotlin.time.Instant
import kotlin.time.toJavaDuration
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.withContext

/** For calls that neither wait nor read. */
internal inline fun <T> answered(work: () -> T): T = try {
    work()
} catch (error: FfiException) {
    throw error.toFace()
} catch (_: CharacterCodingException) {
    // There is no such text in Unicode: it was cut within a character.
    throw WhimbrelException.InvalidInput("a text has half of a surrogate pair in it")
}

/** For calls that wait or read: what they bring is unpacked away from the caller's thread. */
internal suspend inline fun <T> call(crossinline work: suspend () -> T): T =
    withContext(Dispatchers.Default) { answered { work() } }

/** For what the library asks of the app. */
internal inline fun <T> told(what: String, work: () -> T): T = try {
    work()
} catch (ours: WhimbrelException) {
    throw ours.toFfi()
} catch (theirs: Throwable) {
    // Errors as well, such as that of a `TODO()`: behind this there is only native code, which would go on with nothing.
    throw FfiException.Bug("the app's $what failed: $theirs")
}

internal fun Int.toCount(): UInt {
    if (this < 0) throw WhimbrelException.InvalidInput("$this is less than nothing")
    return toUInt()
}

/** For the boundary, which knows no negative times, and none without end. */
internal fun Duration.toFfi(): java.time.Duration = coerceIn(Duration.ZERO, 1_000_000_000.seconds).toJavaDuration()

internal fun Long.toInstant() = Instant.fromEpochMilliseconds(this)

internal fun FfiException.toFace(): WhimbrelException = when (this) {
    is FfiException.Offline -> WhimbrelException.Offline()
    is FfiException.TimedOut -> WhimbrelException.TimedOut()
    is FfiException.WrongPassword -> WhimbrelException.WrongPassword()
    is FfiException.ServerRefused -> WhimbrelException.ServerRefused(condition, text)
    is FfiException.Untrusted -> WhimbrelException.Untrusted(what)
    is FfiException.NotFound -> WhimbrelException.NotFound()
    is FfiException.InvalidInput -> WhimbrelException.InvalidInput(what)
    is FfiException.StorageFull -> WhimbrelException.StorageFull()
    is FfiException.DatabaseUnusable -> WhimbrelException.DatabaseUnusable(why.toFace())
    is FfiException.KeyLost -> WhimbrelException.KeyLost()
    is FfiException.Locked -> WhimbrelException.Locked()
    is FfiException.Closed -> WhimbrelException.Closed()
    is FfiException.Suspended -> WhimbrelException.Suspended()
    is FfiException.InUse -> WhimbrelException.InUse()
    is FfiException.Bug -> WhimbrelException.Bug(report)
}

internal fun WhimbrelException.toFfi(): FfiException = when (this) {
    is WhimbrelException.Offline -> FfiException.Offline()
    is WhimbrelException.TimedOut -> FfiException.TimedOut()
    is WhimbrelException.WrongPassword -> FfiException.WrongPassword()
    is WhimbrelException.ServerRefused -> FfiException.ServerRefused(condition, text)
    is WhimbrelException.Untrusted -> FfiException.Untrusted(what)
    is WhimbrelException.NotFound -> FfiException.NotFound()
    is WhimbrelException.InvalidInput -> FfiException.InvalidInput(what)
    is WhimbrelException.StorageFull -> FfiException.StorageFull()
    is WhimbrelException.DatabaseUnusable -> FfiException.DatabaseUnusable(why.toFfi())
    is WhimbrelException.KeyLost -> FfiException.KeyLost()
    is WhimbrelException.Locked -> FfiException.Locked()
    is WhimbrelException.Closed -> FfiException.Closed()
    is WhimbrelException.Suspended -> FfiException.Suspended()
    is WhimbrelException.InUse -> FfiException.InUse()
    is WhimbrelException.Bug -> FfiException.Bug(report)
}

private fun FfiUnusable.toFace() = when (this) {
    FfiUnusable.NEWER -> Unusable.NEWER
    FfiUnusable.WRONG_KEY -> Unusable.WRONG_KEY
    FfiUnusable.CORRUPT -> Unusable.CORRUPT
    FfiUnusable.READ_ONLY -> Unusable.READ_ONLY
}

private fun Unusable.toFfi() = when (this) {
    Unusable.NEWER -> FfiUnusable.NEWER
    Unusable.WRONG_KEY -> FfiUnusable.WRONG_KEY
    Unusable.CORRUPT -> FfiUnusable.CORRUPT
    Unusable.READ_ONLY -> FfiUnusable.READ_ONLY
}

internal fun FfiScope.toFace(): KeyVault.Scope = when (this) {
    FfiScope.THIS_DEVICE_ONLY -> KeyVault.Scope.THIS_DEVICE_ONLY
    FfiScope.WITH_BACKUPS -> KeyVault.Scope.WITH_BACKUPS
}

internal fun KeyVault.Scope.toFfi(): FfiScope = when (this) {
    KeyVault.Scope.THIS_DEVICE_ONLY -> FfiScope.THIS_DEVICE_ONLY
    KeyVault.Scope.WITH_BACKUPS -> FfiScope.WITH_BACKUPS
}

internal fun FfiLogLevel.toFace(): LogLevel = when (this) {
    FfiLogLevel.ERROR -> LogLevel.ERROR
    FfiLogLevel.WARN -> LogLevel.WARN
    FfiLogLevel.INFO -> LogLevel.INFO
    FfiLogLevel.DEBUG -> LogLevel.DEBUG
}

internal fun LogLevel.toFfi(): FfiLogLevel = when (this) {
    LogLevel.ERROR -> FfiLogLevel.ERROR
    LogLevel.WARN -> FfiLogLevel.WARN
    LogLevel.INFO -> FfiLogLevel.INFO
    LogLevel.DEBUG -> FfiLogLevel.DEBUG
}

internal fun Srv.toFfi(): FfiSrv = FfiSrv(short(priority), short(weight), short(port), target)

private fun short(number: Int): UShort {
    if (number !in 0..0xffff) throw WhimbrelException.InvalidInput("$number has more than 16 bits")
    return number.toUShort()
}

internal fun Options.toFfi(): FfiOptions = FfiOptions(software, extension)

internal fun Connection.toFfi(): FfiConnection =
    FfiConnection(server?.toFfi(), proxy, certificates, keys, resource, allowPlain)

private fun Server.toFfi(): FfiServer {
    if (port !in 0..0xffff) throw WhimbrelException.InvalidInput("$port is not a port")
    return FfiServer(host, port.toUShort(), directTls)
}

internal fun Network.toFfi(): FfiNetwork = FfiNetwork(available, id, kind.toFfi(), metered, dns)

private fun Network.Kind.toFfi() = when (this) {
    Network.Kind.UNKNOWN -> FfiNetworkKind.UNKNOWN
    Network.Kind.WIFI -> FfiNetworkKind.WIFI
    Network.Kind.CELLULAR -> FfiNetworkKind.CELLULAR
    Network.Kind.WIRED -> FfiNetworkKind.WIRED
}

internal fun FfiWakeUp.toFace(): WakeUp = WakeUp(notify.map { it.toFace() }, withdraw, unread.toLong(), complete)

internal fun FfiStatus.toFace(): Status = when (this) {
    is FfiStatus.Offline -> Status.Offline(reason?.toFace(), detail, nextAttempt?.toInstant())
    FfiStatus.Connecting -> Status.Connecting
    is FfiStatus.CatchingUp -> Status.CatchingUp(done.toLong(), total?.toLong())
    FfiStatus.Online -> Status.Online
}

internal fun FfiEvent.toFace(): Event = when (this) {
    is FfiEvent.Online -> Event.Online(resumed, afterStart)
    is FfiEvent.Offline -> Event.Offline(detail)
    is FfiEvent.NewMessage -> Event.NewMessage(message.toFace(), notify)
    is FfiEvent.Changed -> Event.Changed(message.toFace())
    is FfiEvent.State -> Event.State(id, with, state.toFace())
    is FfiEvent.Asked -> Event.Asked(asked, from, kind.toFace(), xml)
    is FfiEvent.NewPayload -> Event.NewPayload(payload.toFace())
    is FfiEvent.FeedChanged -> Event.FeedChanged(of)
    is FfiEvent.Published -> Event.Published(of, node, items.map { it.toFace() })
    is FfiEvent.Retracted -> Event.Retracted(of, node, ids)
    is FfiEvent.SubscriptionChanged -> Event.SubscriptionChanged(of, node, state.toFace())
    is FfiEvent.Password -> Event.Password(if (done) PasswordChange.Done else PasswordChange.Refused(condition.orEmpty()))
    is FfiEvent.Push -> Event.Push(state.toFace())
    FfiEvent.CaughtUp -> Event.CaughtUp
    is FfiEvent.TooLarge -> Event.TooLarge(what, size.toLong())
}

internal fun Outgoing.toFfi(): FfiOutgoing = FfiOutgoing(
    text = text,
    replyTo = replyTo,
    spoiler = spoiler,
    thread = thread?.let { FfiMessageThread(it.id, it.parent) },
    links = links.map { FfiLink(it.url, it.description) },
    previews = previews.map { FfiPreview(it.url, it.title, it.description, it.site, it.images) },
    mentions = mentions.map { FfiMention(it.start.toUInt(), it.end.toUInt(), it.whom) },
    notAfter = notAfter?.toEpochMilliseconds(),
)

internal fun Search.toFfi(): FfiSearch =
    FfiSearch(text, with, from, since?.toEpochMilliseconds(), until?.toEpochMilliseconds(), hasLink)

internal fun FfiFound.toFace(): Found = Found(hits.map { it.toFace() }, next?.let(::Cursor))

private fun FfiHit.toFace() = Hit(message.toFace(), matches.map { it.start.toInt()..<it.end.toInt() })

internal fun FfiFoundIn.toFace(): FoundIn = FoundIn(place.account, hit.toFace(), Cursor(place.cursor))

internal fun FoundIn.toPlace(): FfiFoundPlace = FfiFoundPlace(account, cursor.cursor)

internal fun Push.toFfi(): FfiPush = FfiPush(service, node, secret)

internal fun FfiPushState.toFace(): PushState = when (this) {
    FfiPushState.Off -> PushState.Off
    FfiPushState.Waiting -> PushState.Waiting
    FfiPushState.On -> PushState.On
    FfiPushState.Unsupported -> PushState.Unsupported
    is FfiPushState.Refused -> PushState.Refused(condition)
    is FfiPushState.LeftBehind -> PushState.LeftBehind(Push(push.service, push.node, push.secret))
}

internal fun ChatState.toFfi(): FfiChatState = when (this) {
    ChatState.ACTIVE -> FfiChatState.ACTIVE
    ChatState.COMPOSING -> FfiChatState.COMPOSING
    ChatState.PAUSED -> FfiChatState.PAUSED
    ChatState.INACTIVE -> FfiChatState.INACTIVE
    ChatState.GONE -> FfiChatState.GONE
}

private fun FfiChatState.toFace() = when (this) {
    FfiChatState.ACTIVE -> ChatState.ACTIVE
    FfiChatState.COMPOSING -> ChatState.COMPOSING
    FfiChatState.PAUSED -> ChatState.PAUSED
    FfiChatState.INACTIVE -> ChatState.INACTIVE
    FfiChatState.GONE -> ChatState.GONE
}

/** A splice of any list. */
internal inline fun <F, T> splice(at: UInt, removed: UInt, items: List<F>, toFace: (F) -> T): Splice<T> =
    Splice(at.toInt(), removed.toInt(), items.map(toFace))

internal fun FfiItem.toFace(): TimelineItem = when (this) {
    is FfiItem.Message -> v1.toFace()
    is FfiItem.Gap -> v1.toFace()
}

internal fun FfiMessage.toFace(): Message = Message(
    id = id,
    with = with,
    from = from,
    mine = mine,
    text = text,
    spans = spans.map { TextSpan(it.start.toInt(), it.end.toInt(), it.style.toFace()) },
    isAction = isAction,
    emojiOnly = emojiOnly,
    placeholder = placeholder,
    at = at.toInstant(),
    writtenAt = writtenAt?.toInstant(),
    state = state?.toFace(),
    edited = edited,
    retracted = retracted,
    reactions = reactions.map { Message.Reaction(it.text, it.count.toInt(), it.mine) },
    reply = reply?.let { Message.ReplyTo(it.id, it.quote) },
    spoiler = spoiler,
    thread = thread?.let { Message.Thread(it.id, it.parent) },
    links = links.map { Message.Link(it.url, it.description) },
    previews = previews.map { Message.Preview(it.url, it.title, it.description, it.site, it.images) },
    change = change?.toFace(),
    startsDay = startsDay,
    startsGroup = startsGroup,
)

private fun FfiChange.toFace() = Message.Change(
    id,
    when (kind) {
        FfiChangeKind.CORRECTION -> Message.Change.Kind.CORRECTION
        FfiChangeKind.RETRACTION -> Message.Change.Kind.RETRACTION
        FfiChangeKind.REACTIONS -> Message.Change.Kind.REACTIONS
    },
    state.toFace(),
)

private fun FfiStyle.toFace() = when (this) {
    FfiStyle.Directive -> TextSpan.Style.Directive
    FfiStyle.Strong -> TextSpan.Style.Strong
    FfiStyle.Emphasis -> TextSpan.Style.Emphasis
    FfiStyle.Strike -> TextSpan.Style.Strike
    FfiStyle.Mono -> TextSpan.Style.Mono
    FfiStyle.Preformatted -> TextSpan.Style.Preformatted
    FfiStyle.Quote -> TextSpan.Style.Quote
    is FfiStyle.Link -> TextSpan.Style.Link(url)
    is FfiStyle.Location -> with(v1) { TextSpan.Style.Location(latitude, longitude, altitude, uncertainty) }
    is FfiStyle.Mention -> TextSpan.Style.Mention(whom)
}

private fun FfiGap.toFace() = Gap(
    id,
    when (kind) {
        FfiGapKind.MISSING -> Gap.Kind.MISSING
        FfiGapKind.UNFETCHED -> Gap.Kind.UNFETCHED
        FfiGapKind.NO_LONGER_ON_SERVER -> Gap.Kind.NO_LONGER_ON_SERVER
    },
)

internal fun FfiSendState.toFace(): SendState = when (this) {
    FfiSendState.Queued -> SendState.Queued
    FfiSendState.Sent -> SendState.Sent
    FfiSendState.Delivered -> SendState.Delivered
    FfiSendState.Displayed -> SendState.Displayed
    is FfiSendState.Failed -> SendState.Failed(reason)
}

internal fun FfiConversation.toFace(): Conversation = Conversation(
    with = with,
    name = name,
    avatar = avatar,
    blocked = blocked,
    last = last?.toFace(),
    unread = unread.toLong(),
    chatState = chatState?.toFace(),
    draft = draft?.let { Draft(it.text, it.replyTo) },
    isStranger = isStranger,
    signals = signals?.toFace(),
    pinned = pinned,
    muted = muted?.toFace(),
    archived = archived,
    notify = notify.toFace(),
)

internal fun FfiSignals.toFace(): Signals = Signals(delivered, displayed, typing)

internal fun Signals.toFfi(): FfiSignals = FfiSignals(delivered, displayed, typing)

internal fun Draft.toFfi(): FfiDraft = FfiDraft(text, replyTo)

private fun FfiMute.toFace() = when (this) {
    is FfiMute.Until -> Mute.Until(at.toInstant())
    FfiMute.ForEver -> Mute.ForEver
}

internal fun Mute.toFfi(): FfiMute = when (this) {
    is Mute.Until -> FfiMute.Until(time.toEpochMilliseconds())
    Mute.ForEver -> FfiMute.ForEver
}

private fun FfiNotify.toFace() = when (this) {
    FfiNotify.ALWAYS -> Notify.ALWAYS
    FfiNotify.ON_MENTION -> Notify.ON_MENTION
    FfiNotify.NEVER -> Notify.NEVER
}

internal fun Notify.toFfi(): FfiNotify = when (this) {
    Notify.ALWAYS -> FfiNotify.ALWAYS
    Notify.ON_MENTION -> FfiNotify.ON_MENTION
    Notify.NEVER -> FfiNotify.NEVER
}

internal fun FfiContact.toFace(): Contact = Contact(
    address = jid,
    name = name,
    subscription = when (subscription) {
        FfiPresenceSubscription.NONE -> Contact.Subscription.NONE
        FfiPresenceSubscription.TO -> Contact.Subscription.TO
        FfiPresenceSubscription.FROM -> Contact.Subscription.FROM
        FfiPresenceSubscription.BOTH -> Contact.Subscription.BOTH
    },
    asked = asked,
    asks = asks,
    approved = approved,
    groups = groups,
    blocked = blocked,
    available = available,
    presence = presence?.toFace(),
    nickname = nickname,
    avatar = avatar,
)

internal fun FfiPresence.toFace(): Presence = Presence(show.toFace(), text, idleSince?.toInstant())

private fun FfiShow.toFace() = when (this) {
    FfiShow.CHAT -> Presence.Show.CHAT
    FfiShow.AVAILABLE -> Presence.Show.AVAILABLE
    FfiShow.AWAY -> Presence.Show.AWAY
    FfiShow.EXTENDED_AWAY -> Presence.Show.EXTENDED_AWAY
    FfiShow.DO_NOT_DISTURB -> Presence.Show.DO_NOT_DISTURB
}

internal fun Presence.Show.toFfi(): FfiShow = when (this) {
    Presence.Show.CHAT -> FfiShow.CHAT
    Presence.Show.AVAILABLE -> FfiShow.AVAILABLE
    Presence.Show.AWAY -> FfiShow.AWAY
    Presence.Show.EXTENDED_AWAY -> FfiShow.EXTENDED_AWAY
    Presence.Show.DO_NOT_DISTURB -> FfiShow.DO_NOT_DISTURB
}

internal fun FfiPicture.toFace(): Picture = Picture(kind, bytes)

internal fun Picture.toFfi(): FfiPicture = FfiPicture(kind, bytes)

internal fun Report.toFfi(): FfiReport = FfiReport(
    when (reason) {
        Report.Reason.SPAM -> FfiReportReason.SPAM
        Report.Reason.ABUSE -> FfiReportReason.ABUSE
    },
    text,
    messages,
)
