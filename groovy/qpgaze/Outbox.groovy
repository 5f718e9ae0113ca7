package qpgaze

import groovy.transform.CompileStatic

import java.util.function.Supplier

/**
 * Lines that wait to be sent to one client: answers first, then the stream.
 *
 * The queue is bounded. Where its reader is too slow the oldest viewer state goes (a newer one says
 * more), and where no state waits, the oldest line; each is counted. Nobody who puts a line waits.
 */
@CompileStatic
final class Outbox {

    static final int QUEUED_LINES = 1024
    static final int QUEUED_BYTES = 16 << 20

    private static final class Waiting {
        final Supplier<byte[]> line
        final int bytes
        final boolean supersedes

        Waiting(Supplier<byte[]> line, int bytes, boolean supersedes) {
            this.line = line
            this.bytes = bytes
            this.supersedes = supersedes
        }
    }

    private final ArrayDeque<Supplier<byte[]>> answers = new ArrayDeque<>()
    private final ArrayDeque<Waiting> stream = new ArrayDeque<>()
    private final int mostLines
    private long streamBytes = 0
    private boolean closed = false
    private long dropped = 0

    Outbox(int mostLines = QUEUED_LINES) {
        this.mostLines = mostLines
    }

    synchronized long getDropped() {
        return dropped
    }

    /** Queue a line, made at the moment when it leaves. */
    synchronized void answer(Supplier<byte[]> line) {
        if (answers.size() >= mostLines) {
            // Whoever asks a thousand things and reads no answer loses the oldest.
            answers.removeFirst()
            dropped++
        }
        answers.addLast(line)
        notifyAll()
    }

    /** Queue a line of the stream; true where others were thrown away for it. */
    boolean stream(byte[] line, boolean supersedes) {
        return stream({ line } as Supplier<byte[]>, line.length, supersedes)
    }

    /** The same for a line that is made when it leaves, of about so many bytes. */
    synchronized boolean stream(Supplier<byte[]> line, int bytes, boolean supersedes) {
        long before = dropped
        stream.addLast(new Waiting(line, bytes, supersedes))
        streamBytes += bytes
        while (stream.size() > mostLines || streamBytes > QUEUED_BYTES)
            drop()
        notifyAll()
        return dropped > before
    }

    /** Wait for the next line; null when the box was closed and is empty. */
    byte[] take() {
        Supplier<byte[]> line
        synchronized (this) {
            while (answers.isEmpty() && stream.isEmpty() && !closed)
                wait()
            line = answers.pollFirst()
            if (line == null) {
                Waiting next = stream.pollFirst()
                if (next == null)
                    return null
                streamBytes -= next.bytes
                line = next.line
            }
        }
        return line.get()
    }

    synchronized void close() {
        closed = true
        notifyAll()
    }

    private void drop() {
        Iterator<Waiting> each = stream.iterator()
        while (each.hasNext()) {
            Waiting one = each.next()
            if (one.supersedes) {
                each.remove()
                streamBytes -= one.bytes
                dropped++
                return
            }
        }
        streamBytes -= stream.removeFirst().bytes
        dropped++
    }
}
