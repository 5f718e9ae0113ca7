package qpgaze

import groovy.transform.CompileStatic

import java.nio.ByteBuffer
import java.nio.channels.FileChannel
import java.nio.file.Files
import java.nio.file.LinkOption
import java.nio.file.OpenOption
import java.nio.file.Path
import java.nio.file.Paths
import java.nio.file.StandardOpenOption
import java.util.concurrent.LinkedBlockingQueue
import java.util.concurrent.TimeUnit
import java.util.function.Consumer

/**
 * viewer-hook.jsonl: what the viewers show and what happens while no recorder takes it.
 *
 * It lies in the session's own folder; 'qpgaze session recover' merges it. Lines are those of the
 * wire, on the viewer's clock. Written by a thread of its own and put on the disk each half second.
 */
@CompileStatic
final class Journal implements AutoCloseable {

    static final String NAME = "viewer-hook.jsonl"
    private static final int WAITING = 4096
    private static final long KEEP_MS = 500
    private static final long LARGEST_HEADER = 64L << 20
    private static final Map<String, ?> END = [:]

    final Path file
    private final LinkedBlockingQueue<Map<String, ?>> waiting = new LinkedBlockingQueue<>(WAITING)
    private final FileChannel channel
    private final Consumer<String> trouble
    private final Thread writer
    private volatile boolean ended = false
    private volatile long lines = 0
    private volatile long lost = 0

    /** Begin to write; a WireFault where the folder is not that session's. */
    Journal(String folder, String session, Consumer<String> trouble) {
        this.file = checked(folder, session).resolve(NAME)
        this.trouble = trouble
        // Never through a link: whoever names a folder must not choose which file is written.
        Set<OpenOption> how = [StandardOpenOption.CREATE, StandardOpenOption.READ, StandardOpenOption.WRITE,
                               LinkOption.NOFOLLOW_LINKS] as Set<OpenOption>
        channel = FileChannel.open(file, how)
        channel.position(channel.size())
        if (!endsWhole())
            write("\n".getBytes("US-ASCII"))
        writer = WireServer.daemon("qpgaze-journal") { writeLines() }
        writer.start()
    }

    /** The folder, if it is what the recorder says: one with the session's own session.json in it. */
    static Path checked(String folder, String session) {
        Path path
        try {
            path = Paths.get(folder)
        } catch (java.nio.file.InvalidPathException e) {
            throw new WireFault("failed", "The session's folder cannot be one: ${e.message}.")
        }
        Path header = path.resolve("session.json")
        if (!path.isAbsolute() || !Files.isDirectory(path, LinkOption.NOFOLLOW_LINKS)
                || !Files.isRegularFile(header, LinkOption.NOFOLLOW_LINKS) || Files.size(header) > LARGEST_HEADER)
            throw new WireFault("failed", "There is no session in ${folder}.")
        Object said = Json.parse(Files.readAllBytes(header))
        if (!(said instanceof Map) || !session || ((Map) said).get("id") != session)
            throw new WireFault("failed", "The session in ${folder} is another one.")
        return path
    }

    long getLines() {
        return lines
    }

    /** Lines that the disk was too slow for. */
    long getLost() {
        return lost
    }

    /** A viewer's state; nobody waits. */
    void state(Map<String, ?> state) {
        put(state)
    }

    /** An event; nobody waits. */
    void event(long tUs, String kind, Map<String, Object> data) {
        put([t_us: tUs, kind: kind, data: data])
    }

    private void put(Map<String, ?> line) {
        if (ended)
            return
        while (!waiting.offer(line)) {
            waiting.poll()
            lost++
        }
    }

    /** Not named run: within a closure that is the closure's own. */
    private void writeLines() {
        try {
            boolean open = true
            long keptNs = System.nanoTime()
            boolean dirty = false
            while (open) {
                Map<String, ?> line = waiting.poll(KEEP_MS, TimeUnit.MILLISECONDS)
                if (line != null && line.is(END))
                    open = false
                else if (line != null) {
                    write(Json.line(line)) // here: the JavaFX thread, which brings it, has other work
                    lines++
                    dirty = true
                }
                if (dirty && (!open || System.nanoTime() - keptNs >= KEEP_MS * 1_000_000L)) {
                    channel.force(false)
                    keptNs = System.nanoTime()
                    dirty = false
                }
            }
        } catch (IOException | RuntimeException e) {
            trouble.accept(e.message ?: e.class.simpleName)
        } finally {
            ended = true
            channel.close()
        }
    }

    private void write(byte[] text) {
        ByteBuffer left = ByteBuffer.wrap(text)
        while (left.hasRemaining())
            channel.write(left)
    }

    private boolean endsWhole() {
        if (channel.size() == 0L)
            return true
        ByteBuffer last = ByteBuffer.allocate(1)
        channel.read(last, channel.size() - 1)
        return last.get(0) == (byte) 10
    }

    /** Write what waits, then let the file go; wait for it a little. */
    @Override
    void close() {
        if (!ended) {
            ended = true
            while (!waiting.offer(END))
                waiting.poll()
        }
        writer.join(2000)
    }
}
