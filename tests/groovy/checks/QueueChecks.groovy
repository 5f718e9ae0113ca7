package checks

import qpgaze.Outbox

import java.util.concurrent.CountDownLatch
import java.util.concurrent.TimeUnit

/** What waits for one client. */
class QueueChecks {

    private static byte[] line(int size, int mark) {
        def one = new byte[size]
        one[0] = mark
        return one
    }

    private static List<Integer> drain(Outbox box) {
        box.close()
        def found = []
        byte[] one
        while ((one = box.take()) != null)
            found << (one[0] as int)
        return found
    }

    void "answers go before the stream and both keep their order"() {
        def box = new Outbox()
        box.stream(line(1, 1), true)
        box.stream(line(1, 2), false)
        box.answer { line(1, 3) }
        box.answer { line(1, 4) }
        assert drain(box) == [3, 4, 1, 2]
        assert box.dropped == 0
    }

    void "the oldest view goes first and every loss is counted"() {
        def box = new Outbox(3)
        assert !box.stream(line(1, 1), false)
        assert !box.stream(line(1, 2), true)
        assert !box.stream(line(1, 3), true)
        assert box.stream(line(1, 4), false)
        assert box.stream(line(1, 5), true)
        assert box.dropped == 2
        assert drain(box) == [1, 4, 5]
    }

    void "where no view waits the oldest line goes"() {
        def box = new Outbox(2)
        (1..5).each { box.stream(line(1, it), false) }
        assert box.dropped == 3
        assert drain(box) == [4, 5]
    }

    void "answers are bounded as well"() {
        def box = new Outbox(2)
        (1..5).each { int i -> box.answer { line(1, i) } }
        assert box.dropped == 3
        assert drain(box) == [4, 5]
    }

    void "few lines that are large are bounded by their bytes"() {
        def box = new Outbox()
        (1..40).each { box.stream(line(1 << 20, it), true) }
        assert box.dropped == 40 - (Outbox.QUEUED_BYTES >> 20)
        def left = drain(box)
        assert left.size() == Outbox.QUEUED_BYTES >> 20
        assert left[-1] == 40
    }

    void "an answer is made when it leaves"() {
        def box = new Outbox()
        int made = 0
        box.answer { line(1, ++made) }
        assert made == 0
        box.take()
        assert made == 1
    }

    void "whoever puts a line never waits for who takes it"() {
        def box = new Outbox(100)
        def sent = new CountDownLatch(1)
        Thread.startDaemon {
            20_000.times { box.stream(line(8, 1), true) }
            sent.countDown()
        }
        assert sent.await(60, TimeUnit.SECONDS)
        assert box.dropped == 20_000 - 100
    }

    void "closing wakes who waits"() {
        def box = new Outbox()
        def ended = new CountDownLatch(1)
        Thread.startDaemon {
            assert box.take() == null
            ended.countDown()
        }
        Thread.sleep(20)
        box.close()
        assert ended.await(30, TimeUnit.SECONDS)
    }
}
