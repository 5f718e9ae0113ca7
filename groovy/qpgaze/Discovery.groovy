package qpgaze

import groovy.transform.CompileStatic

import javax.crypto.Mac
import javax.crypto.spec.SecretKeySpec
import java.nio.channels.FileChannel
import java.nio.file.AtomicMoveNotSupportedException
import java.nio.file.FileSystems
import java.nio.file.Files
import java.nio.file.Path
import java.nio.file.Paths
import java.nio.file.StandardCopyOption
import java.nio.file.StandardOpenOption
import java.nio.file.attribute.FileAttribute
import java.nio.file.attribute.PosixFilePermissions
import java.nio.ByteBuffer
import java.nio.charset.StandardCharsets
import java.security.SecureRandom

/** The small file by which Python finds this QuPath; only its user can read it. */
@CompileStatic
final class Discovery {

    private static final boolean POSIX = FileSystems.getDefault().supportedFileAttributeViews().contains("posix")

    private Discovery() {}

    /** Where the file may lie, the first that can be made; the same as qpgaze.wire.discovery says. */
    static List<Path> folders(String system, Map<String, String> environment, String home) {
        List<Path> bases = []
        if (system.startsWith("Windows")) {
            String local = environment.get("LOCALAPPDATA")
            bases << (local ? Paths.get(local) : Paths.get(home, "AppData", "Local"))
        } else if (system.startsWith("Mac")) {
            bases << Paths.get(home, "Library", "Application Support")
        } else {
            for (name in ["XDG_RUNTIME_DIR", "XDG_STATE_HOME"]) {
                String given = environment.get(name)
                if (given && Paths.get(given).isAbsolute())
                    bases << Paths.get(given)
            }
            bases << Paths.get(home, ".local", "state")
        }
        return bases.collect { it.resolve("qpgaze").resolve("hooks") }
    }

    static List<Path> folders() {
        return folders(System.getProperty("os.name"), System.getenv(), System.getProperty("user.home"))
    }

    static String newToken() {
        byte[] secret = new byte[32]
        new SecureRandom().nextBytes(secret)
        return Base64.getUrlEncoder().withoutPadding().encodeToString(secret)
    }

    /** What only an end that knows the token can answer to a nonce; as qpgaze.wire.discovery says. */
    static String proofOf(String token, String nonce) {
        Mac mac = Mac.getInstance("HmacSHA256")
        mac.init(new SecretKeySpec(token.getBytes(StandardCharsets.UTF_8), "HmacSHA256"))
        return mac.doFinal(nonce.getBytes(StandardCharsets.UTF_8)).encodeHex().toString()
    }

    /** Write it whole, never readable by others, not even for a moment. */
    static Path write(List<Path> places, long pid, Map<String, ?> said) {
        Exception last = null
        for (Path place : places) {
            try {
                Files.createDirectories(place, attributes("rwx------"))
                Path file = place.resolve("hook-${pid}.json".toString())
                Path part = place.resolve(".hook-${pid}.json.${newToken().substring(0, 8)}.part".toString())
                try {
                    writePrivate(part, Json.line(said))
                    move(part, file)
                } finally {
                    Files.deleteIfExists(part)
                }
                return file
            } catch (IOException | UnsupportedOperationException | SecurityException e) {
                last = e
            }
        }
        throw new IOException("No discovery file could be written: ${last?.message}")
    }

    private static void writePrivate(Path part, byte[] text) {
        Set<StandardOpenOption> options = EnumSet.of(StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)
        FileChannel channel = FileChannel.open(part, options, attributes("rw-------"))
        try {
            ByteBuffer left = ByteBuffer.wrap(text)
            while (left.hasRemaining())
                channel.write(left)
            channel.force(true)
        } finally {
            channel.close()
        }
    }

    private static void move(Path part, Path file) {
        try {
            Files.move(part, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING)
        } catch (AtomicMoveNotSupportedException e) {
            Files.move(part, file, StandardCopyOption.REPLACE_EXISTING)
        }
    }

    /** Windows has no such modes: there AppData is private to the user. */
    private static FileAttribute<?>[] attributes(String mode) {
        if (!POSIX)
            return new FileAttribute<?>[0]
        def one = PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString(mode))
        return [one] as FileAttribute<?>[]
    }
}
