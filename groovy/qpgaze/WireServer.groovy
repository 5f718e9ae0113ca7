package qpgaze

import groovy.transform.CompileStatic
import org.slf4j.Logger
import org.slf4j.LoggerFactory

import java.nio.charset.StandardCharsets
import java.nio.file.Files
import java.nio.file.Path
import java.security.MessageDigest
import java.util.concurrent.ConcurrentHashMap
import java.util.concurrent.CopyOnWriteArraySet
import java.util.concurrent.atomic.AtomicInteger
import java.util.function.BiConsumer
import java.util.function.LongSupplier
import java.util.function.Supplier

/**
 * The hook's end of the wire: listens on 127.0.0.1 and serves every client that knows the token.
 *
 * Each client has two daemon threads and a bounded queue of its own: one that is slow or stuck delays
 * nobody, least of all QuPath. See docs/wire.md for what is said.
 */
@CompileStatic
final class WireServer implements AutoCloseable {

    private static final Logger log = LoggerFactory.getLogger("qpgaze")
    private static final int HELLO_WAIT_MS = 5000
    private static final int MAX_CLIENTS = 32
    static final long KEYFRAME_US = 1_000_000L
    /** About what a viewer's state takes as a line: only to bound a queue. */
    private static final int STATE_BYTES = 1500

    /** A line that is made when the first client's turn comes, once for all of them. */
    private static final class Late implements Supplier<byte[]> {
        private final Schema schema
        private final Map<String, Object> message
        private byte[] line

        Late(Schema schema, Map<String, Object> message) {
            this.schema = schema
            this.message = message
        }

        @Override
        synchronized byte[] get() {
            if (line == null) {
                try {
                    line = schema.encode(message)
                } catch (WireFault e) {
                    Troubles.once("viewer states", "cannot be said: ${e.message}")
                    line = new byte[0] // nothing is sent
                }
            }
            return line
        }
    }

    private final WireHandler handler
    private final Schema schema
    private final Map<String, String> software
    private final LongSupplier clock
    private final List<Path> places
    private final String token = Discovery.newToken()
    private final Set<WireClient> clients = new CopyOnWriteArraySet<>()
    private final Set<Socket> greeting = ConcurrentHashMap.newKeySet()
    private final AtomicInteger numbers = new AtomicInteger()
    private volatile boolean closing = false
    /** Told which connection was refused and why: a code of the wire and words. */
    volatile BiConsumer<String, String> onRefused
    private ServerSocket listener
    private Thread acceptor
    private volatile Thread ending
    Path file

    WireServer(WireHandler handler, Schema schema, Map<String, String> software, List<Path> places,
               LongSupplier clock = { System.nanoTime().intdiv(1000L).longValue() } as LongSupplier) {
        this.handler = handler
        this.schema = schema
        this.software = software
        this.places = places
        this.clock = clock
    }

    /** A thread that keeps nobody from ending; what fails in it is said in the log, not in QuPath's own dialogs. */
    static Thread daemon(String name, Runnable work) {
        Thread thread = new Thread({ Troubles.attempt(name) { work.run() } } as Runnable, name)
        thread.setDaemon(true)
        return thread
    }

    long now() {
        return clock.getAsLong()
    }

    int getPort() {
        return listener.getLocalPort()
    }

    /** Begin to listen and leave the discovery file. */
    void start() {
        listener = new ServerSocket(0, MAX_CLIENTS, InetAddress.getByAddress("localhost", [127, 0, 0, 1] as byte[]))
        try {
            long pid = ProcessHandle.current().pid()
            file = Discovery.write(places, pid, [
                wire: "qpgaze", version: schema.version, port: listener.getLocalPort(), token: token, pid: pid,
                software: software.hook, qupath: software.qupath])
        } catch (IOException e) {
            listener.close()
            throw e
        }
        acceptor = daemon("qpgaze-accept") { accept() }
        acceptor.start()
    }

    /** Stop listening and remove the discovery file at once; then say bye and end every connection. */
    @Override
    void close() {
        if (closing)
            return
        closing = true
        if (file != null)
            Files.deleteIfExists(file)
        listener?.close()
        for (Socket socket : greeting)
            socket.close()
        // Nobody waits for a client that does not read: least of all the JavaFX thread.
        ending = daemon("qpgaze-end") {
            for (WireClient client : clients)
                client.finish("the hook ends")
            acceptor?.join(1000)
        }
        ending.start()
    }

    /** Wait until the connections have ended. */
    void join(long waitMs) {
        ending?.join(waitMs)
    }

    /** Names of the clients and the lines that each lost so far. */
    Map<String, Long> losses() {
        return clients.collectEntries { [(it.name): it.outbox.dropped] } as Map<String, Long>
    }

    boolean watched(String topic) {
        for (WireClient client : clients)
            if (client.watches(topic))
                return true
        return false
    }

    /** Costs next to nothing here: the line is made by the thread that sends it. */
    void publishState(Map<String, Object> state) {
        if (!watched("viewer"))
            return
        Supplier<byte[]> line = new Late(schema, [type: (Object) "viewer", state: state])
        for (WireClient client : clients)
            if (client.watches("viewer"))
                client.stream(line, STATE_BYTES, true)
    }

    void publishEvent(long tUs, String kind, Map<String, Object> data) {
        publish([type: "event", event: [t_us: tUs, kind: kind, data: data]], "events")
    }

    void publishControl(String action, Map<String, Object> data = [:]) {
        publish([type: "control", action: action, data: data], "events")
    }

    void publishImages() {
        if (watched("images"))
            publish([type: "images", images: handler.images()], "images")
    }

    private void publish(Map<String, ?> message, String topic) {
        if (!watched(topic)) // idle it costs nothing
            return
        byte[] line = schema.encode(message)
        for (WireClient client : clients)
            if (client.watches(topic))
                client.stream(line, topic == "viewer")
    }

    private void accept() {
        while (!closing) {
            try {
                Socket socket = listener.accept()
                boolean busy = greeting.size() + clients.size() >= MAX_CLIENTS
                greeting.add(socket)
                daemon("qpgaze-greet") { greet(socket, busy) }.start()
            } catch (IOException e) {
                if (!closing) {
                    log.error("qpgaze: the hook can take no more connections: {}", e.message)
                    return
                }
            }
        }
    }

    /** Wait for a good hello, then let the client in. */
    private void greet(Socket socket, boolean busy) {
        int number = numbers.incrementAndGet()
        Timer timer = null
        try {
            socket.setTcpNoDelay(true)
            // A deadline for the whole line, not for each of its bytes.
            timer = new Timer("qpgaze-hello", true)
            timer.runAfter(HELLO_WAIT_MS) { socket.close() }
            Lines lines = new Lines(socket.getInputStream(), schema.maxLineBytes)
            byte[] first = lines.next()
            timer.cancel()
            if (first == null)
                throw new IOException("it ended before it said hello")
            Map<String, Object> hello = goodHello(first, busy)
            WireClient client = new WireClient(this, handler, schema, socket, lines, clock,
                "${hello.get('client')} ${number}".toString())
            Map<String, Object> welcome = [
                type: (Object) "welcome", version: schema.version, t_us: now(), pid: ProcessHandle.current().pid(),
                software: software.hook, qupath: software.qupath, viewer_keyframe_us: KEYFRAME_US]
            if (hello.containsKey("nonce")) // whoever answers on this port has to know the token, too
                welcome.put("proof", Discovery.proofOf(token, (String) hello.get("nonce")))
            socket.getOutputStream().write(schema.encode(welcome))
            clients.add(client)
            client.start()
            log.info("qpgaze: {} is connected", client.name)
            if (closing)
                client.close()
            handler.clientsChanged()
        } catch (WireFault e) {
            log.warn("qpgaze: connection {} was refused: {}", number, e.message)
            sayRefused(socket, e)
            onRefused?.accept(e.code, e.message)
        } catch (IOException | RuntimeException e) {
            log.info("qpgaze: connection {} ended before it said hello: {}", number, e.message ?: e)
            socket.close()
        } finally {
            timer?.cancel()
            greeting.remove(socket)
        }
    }

    private void sayRefused(Socket socket, WireFault why) {
        try {
            socket.getOutputStream().write(schema.encode(
                [type: "refused", code: why.code, message: why.message, version: schema.version]))
            socket.shutdownOutput()
        } catch (IOException e) {
            log.debug("qpgaze: whoever was refused is gone already: {}", e.message)
        }
        socket.close()
    }

    private Map<String, Object> goodHello(byte[] line, boolean busy) {
        if (busy)
            throw new WireFault("busy", "There are ${MAX_CLIENTS} connections already.")
        if (line.is(Lines.TOO_LONG))
            throw new WireFault("hello", "The first line is longer than 1 MiB.")
        Map<String, Object> hello
        try {
            hello = schema.decode(line)
        } catch (WireFault e) {
            throw new WireFault("hello", "Expected a hello. ${e.message}")
        }
        if (hello.get("type") != "hello")
            throw new WireFault("hello", "Expected a hello, but '${hello.get('type')}' came.")
        byte[] shown = ((String) hello.get("token")).getBytes(StandardCharsets.UTF_8)
        if (!MessageDigest.isEqual(shown, token.getBytes(StandardCharsets.UTF_8)))
            throw new WireFault("token", "The token is not the one of this start of QuPath.")
        int version = ((Number) hello.get("version")).intValue()
        if (version != schema.version)
            throw new WireFault("version", "The client speaks version ${version} of the wire, " +
                "this hook version ${schema.version}.")
        return hello
    }

    void gone(WireClient client, boolean saidBye) {
        if (clients.remove(client)) {
            log.info("qpgaze: {} left", client.name)
            handler.clientGone(client.name, saidBye)
            handler.clientsChanged()
        }
    }
}
