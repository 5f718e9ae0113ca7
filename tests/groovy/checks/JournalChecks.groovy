package checks

import qpgaze.Journal
import qpgaze.Json
import qpgaze.WireFault

import java.nio.file.Files
import java.nio.file.Path

/** What QuPath notes while the recorder is gone. */
class JournalChecks {

    private final Path folder = Files.createTempDirectory("qpgaze-check")
    private final List<String> troubles = Collections.synchronizedList([])

    private Journal begin(String session = "s1") {
        folder.resolve("session.json").toFile().setText('{"id":"s1"}', "UTF-8")
        return new Journal(folder.toString(), session, { troubles << it })
    }

    /** However slow the disk is: QuPath itself waits for two seconds at most. */
    private static void end(Journal journal) {
        journal.close()
        journal.@writer.join()
    }

    private List<Map> lines() {
        return folder.resolve(Journal.NAME).toFile().readLines("UTF-8").collect { Json.parse(it) as Map }
    }

    void "states and events are kept in their order"() {
        def journal = begin()
        journal.state([t_us: 1L, viewer: "ä"])
        journal.event(2, "label", [event: "mark"])
        1000.times { journal.state([t_us: 3L + it]) }
        end(journal)
        assert lines().take(2) == [[t_us: 1L, viewer: "ä"], [t_us: 2L, kind: "label", data: [event: "mark"]]]
        assert lines().size() == 1002 && journal.lines == 1002 && journal.lost == 0
        assert troubles.isEmpty()
        journal.state([t_us: 9L])
        end(journal)
        assert lines().size() == 1002
    }

    void "a second one goes on where the first broke off"() {
        folder.resolve(Journal.NAME).toFile().setText('{"t_us":1}\n{"t_us":', "UTF-8")
        def journal = begin()
        journal.event(2, "note", [:])
        end(journal)
        def text = folder.resolve(Journal.NAME).toFile().readLines("UTF-8")
        assert text == ['{"t_us":1}', '{"t_us":', '{"t_us":2,"kind":"note","data":{}}']
    }

    void "only the session's own folder is written into"() {
        end(begin())
        for (wrong in [[folder.toString(), "s2"], [folder.toString(), null], ["relative", "s1"],
                       [folder.resolve("none").toString(), "s1"], ["\u0000", "s1"]]) {
            try {
                new Journal(wrong[0], wrong[1], {})
                assert false: wrong
            } catch (WireFault e) {
                assert e.message
            }
        }
    }

    void "nothing is written through a link"() {
        def elsewhere = Files.createTempFile("qpgaze-check", ".txt")
        try {
            Files.createSymbolicLink(folder.resolve(Journal.NAME), elsewhere)
        } catch (IOException | UnsupportedOperationException e) {
            return // Windows lets only some users make one
        }
        try {
            end(begin())
            assert false: "it was opened"
        } catch (IOException e) {
            assert Files.size(elsewhere) == 0
        }
    }
}
