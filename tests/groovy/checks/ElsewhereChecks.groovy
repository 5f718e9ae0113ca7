package checks

import qpgaze.Elsewhere

import java.nio.file.Files
import java.nio.file.Path
import java.nio.file.Paths

/** Where a session goes whose project may only be read. */
class ElsewhereChecks {

    private final Path study = Files.createDirectories(Files.createTempDirectory("qpgaze-check").resolve("Ü study"))
    private final Path project = study.resolve("project.qpproj")

    void "a project whose folder can be written keeps its sessions, and the trial leaves no file"() {
        assert Elsewhere.takesSessions(project)
        assert study.toFile().list().toList() == ["qpgaze"]
        assert study.resolve("qpgaze/sessions").toFile().list().length == 0
    }

    void "one where no folder can be made does not"() {
        study.resolve("qpgaze").toFile().setText("in the way", "UTF-8")
        assert !Elsewhere.takesSessions(project)
        assert study.resolve("qpgaze").toFile().getText("UTF-8") == "in the way"
    }

    void "each project has a folder of its own in the user's"() {
        assert Elsewhere.folderFor(project, "/home/anna") == Paths.get("/home/anna", "qpgaze sessions", "Ü study")
    }

    void "the newest session is one that has begun"() {
        assert Elsewhere.newestIn(study.resolve("nowhere")) == null
        assert Elsewhere.newestIn(study) == null
        [["old", 1_000_000L], ["new", 2_000_000L]].each { name, at ->
            def header = Files.createDirectories(study.resolve("${name}.qpgaze")).resolve("session.json").toFile()
            header.setText("{}", "UTF-8")
            header.setLastModified(at as long)
        }
        Files.createDirectories(study.resolve("empty.qpgaze"))
        assert Elsewhere.newestIn(study).fileName.toString() == "new.qpgaze"
    }
}
