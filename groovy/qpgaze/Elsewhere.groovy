package qpgaze

import groovy.transform.CompileStatic

import java.nio.file.Files
import java.nio.file.Path
import java.nio.file.Paths

/** Where a session goes whose project may only be read: a share says so only when it is tried. */
@CompileStatic
final class Elsewhere {

    private Elsewhere() {}

    /** The project's own folder of sessions. */
    static Path ownFolder(Path project) {
        return project.resolveSibling("qpgaze").resolve("sessions")
    }

    /** Whether a file can be made where a project keeps its sessions; not on the JavaFX thread. */
    static boolean takesSessions(Path project) {
        try {
            Path folder = Files.createDirectories(ownFolder(project))
            Files.delete(Files.createTempFile(folder, ".trial-", ".tmp"))
            return true
        } catch (IOException | SecurityException e) {
            return false
        }
    }

    /** In the user's own folder, apart for each project by its folder's name. */
    static Path folderFor(Path project, String home = System.getProperty("user.home")) {
        Path named = project.getParent()?.getFileName()
        return Paths.get(home, "qpgaze sessions").resolve(named == null ? "project" : named.toString())
    }

    /** A folder's newest session; null where it has none. */
    static Path newestIn(Path folder) {
        File[] found = Files.isDirectory(folder) ? folder.toFile().listFiles() : null
        List<File> sessions = (found == null ? [] : found.toList())
            .findAll { File one -> one.name.endsWith(".qpgaze") && new File(one, "session.json").isFile() }
        return sessions ? sessions.max { File one -> new File(one, "session.json").lastModified() }.toPath() : null
    }
}
