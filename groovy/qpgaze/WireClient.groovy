package qpgaze

import groovy.transform.CompileStatic
import org.slf4j.Logger
import org.slf4j.LoggerFactory

import java.util.function.LongSupplier
import java.util.function.Supplier

/** One client that said a good hello: what it asks, what it watches, what waits for it. */
@CompileStatic
final class WireClient {

    private static final Logger log = LoggerFactory.getLogger("qpgaze")
    private static final Set<String> NOTES = ["show_gaze", "show_labels", "status"] as Set<String>
    private static final Set<String> CODES = ["malformed", "too_long", "unknown", "no_image", "conflict",
                                              "unsupported", "read_only", "failed"] as Set<String>
    /** Parts of one change that are held back for its last one. */
    private static final int HELD_PARTS = 4096

    final String name
    final Outbox outbox = new Outbox()
    private final WireServer server
    private final WireHandler handler
    private final Schema schema
    private final Socket socket
    private final Lines lines
    private final LongSupplier clock
    private final Map<String, List<Map<String, Object>>> held = [:]
    private volatile Set<String> topics = Collections.emptySet()
    private volatile boolean tellingDropped = false
    private boolean saidBye = false
    private Thread reader
    private Thread writer

    WireClient(WireServer server, WireHandler handler, Schema schema, Socket socket, Lines lines,
               LongSupplier clock, String name) {
        this.server = server
        this.handler = handler
        this.schema = schema
        this.socket = socket
        this.lines = lines
        this.clock = clock
        this.name = name
    }

    boolean watches(String topic) {
        return topics.contains(topic)
    }

    void start() {
        writer = WireServer.daemon("qpgaze-write") { write() }
        reader = WireServer.daemon("qpgaze-read") { read() }
        writer.start()
        reader.start()
    }

    /** Say bye, send what is queued, close; wait a little for it. */
    void finish(String message) {
        byte[] bye = schema.encode([type: "bye", message: message])
        outbox.stream(bye, false)
        outbox.close()
        writer.join(300)
        close()
        writer.join(1000)
        reader.join(1000)
    }

    void close() {
        outbox.close()
        try {
            socket.close()
        } catch (IOException e) {
            log.debug("qpgaze: a connection did not close: {}", e.message)
        }
    }

    /** Queue a line of the stream; say first how many were lost since the last word on it. */
    void stream(byte[] line, boolean supersedes) {
        tellDropped(outbox.stream(line, supersedes))
    }

    /** The same for a line that is made when it leaves, of about so many bytes. */
    void stream(Supplier<byte[]> line, int bytes, boolean supersedes) {
        tellDropped(outbox.stream(line, bytes, supersedes))
    }

    private void tellDropped(boolean some) {
        if (some && !tellingDropped) {
            tellingDropped = true
            outbox.answer {
                tellingDropped = false
                schema.encode([type: "dropped", lines: outbox.dropped])
            }
        }
    }

    private void write() {
        try {
            def out = socket.getOutputStream()
            byte[] line
            while ((line = outbox.take()) != null)
                out.write(line)
        } catch (IOException e) {
            log.debug("qpgaze: client {} cannot be written to: {}", name, e.message)
            close()
        }
    }

    private void read() {
        try {
            byte[] line
            while (!saidBye && (line = lines.next()) != null)
                onLine(line, clock.getAsLong())
        } catch (IOException e) {
            log.debug("qpgaze: client {} cannot be read from: {}", name, e.message)
        } finally {
            close()
            server.gone(this, saidBye)
        }
    }

    private void onLine(byte[] line, long receivedUs) {
        Map<String, Object> message = null
        try {
            if (line.is(Lines.TOO_LONG))
                throw new WireFault("too_long", "A line was longer than 1 MiB.")
            message = schema.decode(line)
            act(message, receivedUs)
        } catch (WireFault e) {
            Map<String, Object> said = message ?: readable(line)
            forget(said)
            refuse(said.get("id"), e.code, e.message)
        } catch (Exception | StackOverflowError e) {
            log.warn("qpgaze: a request of {} failed", name, e)
            forget(message ?: [:])
            refuse(message?.get("id"), "failed", "The hook failed: ${e.message ?: e.class.simpleName}.")
        }
    }

    /** Where a part of a change is no good the parts before it are none of the next change. */
    private void forget(Map<String, Object> refused) {
        if (refused.get("type") == "change_objects")
            held.remove(refused.get("image"))
    }

    private void act(Map<String, Object> message, long receivedUs) {
        String type = (String) message.get("type")
        if (type == "ping")
            outbox.answer { schema.encode([type: "pong", re: message.get("id"), client_us: message.get("client_us"),
                                           received_us: receivedUs, sent_us: clock.getAsLong()]) }
        else if (type == "subscribe")
            subscribe(message)
        else if (type == "images")
            answer(message, [images: handler.images()])
        else if (NOTES.contains(type))
            handler.note(message, name)
        else if (type == "bye")
            saidBye = true
        else if (type == "hello")
            throw new WireFault("unsupported", "This client said hello already.")
        else if (type == "change_objects") {
            Map<String, Object> whole = wholeChange(message)
            answer(message, whole == null ? [:] : handler.request(whole))
        } else
            answer(message, handler.request(message))
    }

    private void subscribe(Map<String, Object> message) {
        Set<String> wanted = ["viewer", "events", "images"].findAll { message.get(it) } as Set<String>
        topics = wanted
        handler.clientsChanged()
        if (wanted.contains("viewer"))
            for (state in handler.states())
                stream(schema.encode([type: "viewer", state: state]), true)
        if (wanted.contains("images"))
            stream(schema.encode([type: "images", images: handler.images()]), false)
        // Last: what happens after the answer is missed by nobody, and comes after the keyframe.
        answer(message, [:])
    }

    /** Put the parts of a change together; null while more is to come. */
    private Map<String, Object> wholeChange(Map<String, Object> message) {
        String key = (String) message.get("image")
        List<Map<String, Object>> parts = held.computeIfAbsent(key) { new ArrayList<Map<String, Object>>() }
        parts << handler.part(message)
        if (message.get("more") && parts.size() <= HELD_PARTS)
            return null
        held.remove(key)
        if (parts.size() > HELD_PARTS)
            throw new WireFault("failed", "A change came in more than ${HELD_PARTS} parts.")
        Map<String, Object> whole = new LinkedHashMap<>(parts[0])
        for (list in ["put", "replace", "remove"]) {
            List all = []
            for (part in parts)
                all.addAll((List) (part.get(list) ?: []))
            whole.put(list, all)
        }
        return whole
    }

    private void answer(Map<String, Object> request, Map<String, Object> fields) {
        Map<String, Object> whole = [type: (Object) "ok", re: request.get("id")]
        whole.putAll(fields)
        byte[] line = schema.encode(whole)
        outbox.answer { line }
    }

    private void refuse(Object number, String code, String message) {
        log.warn("qpgaze: client {}: {}", name, message)
        String brief = message.length() > 4000 ? message.substring(0, 4000) : message
        byte[] line = schema.encode([type: "error", re: number instanceof Long && (Long) number >= 0L ? number : null,
                                     code: CODES.contains(code) ? code : "failed", message: brief])
        outbox.answer { line }
    }

    /** What can be read of a line that is no good: the answer names the number of its request. */
    private static Map<String, Object> readable(byte[] line) {
        try {
            Object value = Json.parse(line)
            return value instanceof Map ? (Map<String, Object>) value : [:] as Map<String, Object>
        } catch (WireFault e) {
            return [:]
        }
    }
}
