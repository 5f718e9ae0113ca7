package qpgaze

import groovy.transform.CompileDynamic
import groovy.transform.CompileStatic
import qupath.lib.gui.QuPathGUI
import qupath.lib.gui.viewer.QuPathViewer
import qupath.lib.images.ImageData
import qupath.lib.objects.PathObject
import qupath.lib.objects.classes.PathClass
import qupath.lib.objects.hierarchy.PathObjectHierarchy
import qupath.lib.objects.hierarchy.events.PathObjectHierarchyEvent
import qupath.lib.objects.hierarchy.events.PathObjectHierarchyListener

import java.lang.ref.SoftReference
import java.lang.reflect.Method
import java.nio.file.Files
import java.util.concurrent.atomic.AtomicLong
import java.util.function.Function

/** Which images are open in QuPath, each with a key for as long as it is, and what becomes of them. */
@CompileStatic
final class Images {

    /** An image's objects as they were at a revision, in the order of their ids. */
    static final class Listing {
        final List<PathObject> objects
        final long revision

        Listing(List<PathObject> objects, long revision) {
            this.objects = objects
            this.revision = revision
        }
    }

    /** An open image. */
    static final class Open implements PathObjectHierarchyListener {
        final String key
        final ImageData data
        final AtomicLong revision = new AtomicLong()
        volatile Map<String, Object> identity
        volatile List<String> viewers = []
        volatile boolean changed
        /** What was last told: a change is told once a pulse at most. */
        long toldRevision = 0

        Open(String key, ImageData data) {
            this.key = key
            this.data = data
            this.changed = data.isChanged()
        }

        @Override
        void hierarchyChanged(PathObjectHierarchyEvent event) {
            if (!event.isChanging())
                revision.incrementAndGet()
        }

        private SoftReference<Listing> last = new SoftReference<>(null)

        /** In one order as long as nothing changes, for clients read it a page at a time. */
        Listing listing() {
            Listing known = last.get()
            if (known != null && known.revision == revision.get())
                return known
            PathObjectHierarchy hierarchy = data.getHierarchy()
            List<PathObject> every
            long at
            synchronized (hierarchy) {
                at = revision.get()
                every = new ArrayList<PathObject>(hierarchy.getAllObjects(false))
            }
            every.sort(Comparator.comparing({ PathObject one -> one.getID() } as Function<PathObject, UUID>))
            Listing fresh = new Listing(every, at)
            last = new SoftReference<>(fresh)
            return fresh
        }
    }

    /** Told on the JavaFX thread. */
    interface Listener {
        void imageEvent(String kind, Open image)

        void imagesChanged()
    }

    /** Who names the viewers. */
    interface Namer {
        String nameOf(QuPathViewer viewer)
    }

    private final QuPathGUI qupath
    private final Method allViewers
    private final Listener listener
    private final List<Open> open = Collections.synchronizedList(new ArrayList<Open>())
    private final Set<String> savedHere = Collections.synchronizedSet(new HashSet<String>())
    private int keys = 0
    private Object project

    Images(QuPathGUI qupath, Listener listener) {
        this.qupath = qupath
        this.allViewers = allViewersOf(qupath)
        this.listener = listener
    }

    /** Every viewer, detached ones too. */
    List<QuPathViewer> viewers() {
        return (List<QuPathViewer>) allViewers.invoke(qupath)
    }

    private static Method allViewersOf(QuPathGUI qupath) {
        try {
            return qupath.class.getMethod("getAllViewers")
        } catch (NoSuchMethodException e) {
            return qupath.class.getMethod("getViewers") // QuPath 0.4
        }
    }

    /** What a viewer shows, null where nothing or nothing yet. */
    Map<String, Object> identity(QuPathViewer viewer) {
        ImageData data = viewer.getImageData()
        return data == null ? null : of(data)?.identity
    }

    Open of(ImageData data) {
        synchronized (open) {
            for (Open one : open)
                if (one.data.is(data))
                    return one
        }
        return null
    }

    Open withKey(String key) {
        synchronized (open) {
            for (Open one : open)
                if (one.key == key)
                    return one
        }
        throw new WireFault("no_image", "No image ${key} is open.")
    }

    List<QuPathViewer> viewersOf(Open image) {
        return viewers().findAll { it.getImageData().is(image.data) }
    }

    /** As the wire says it; from any thread. */
    List<Map<String, Object>> toWire() {
        synchronized (open) {
            return open.collect { Open one ->
                [key: one.key, image: one.identity, changed: one.data.isChanged(), revision: one.revision.get(),
                 viewers: one.viewers, project_uri: projectUri(), pixel_size_um: pixelSize(one.data)] as Map<String, Object>
            }
        }
    }

    private Namer namer

    void setNamer(Namer namer) {
        this.namer = namer
    }

    /** Look which images are open and which changed: on the JavaFX thread, every pulse or half second. */
    void pulse() {
        List<QuPathViewer> viewers = viewers()
        Object projectNow = qupath.getProject()
        boolean other = !projectNow.is(project)
        project = projectNow
        if (other)
            savedHere.clear()
        boolean told = other
        // Loops here and below: at each pulse Groovy's closures cost more than what they do.
        for (Open one : new ArrayList<Open>(open)) {
            if (!isShown(one, viewers)) {
                if (one.changed && !one.data.isChanged()) // saved on the way out
                    noteSaved(one)
                one.data.getHierarchy().removeListener(one)
                open.remove(one)
                listener.imageEvent("image closed", one)
                told = true
            }
        }
        for (QuPathViewer viewer : viewers) {
            ImageData data = viewer.getImageData()
            if (data == null || of(data) != null)
                continue
            Open fresh = new Open(String.valueOf(++keys), data)
            fresh.identity = identify(data)
            if (fresh.identity == null)
                continue
            data.getHierarchy().addListener(fresh)
            open.add(fresh)
            listener.imageEvent("image opened", fresh)
            told = true
        }
        for (Open one : new ArrayList<Open>(open))
            told |= refresh(one, viewers, other)
        if (told)
            listener.imagesChanged()
    }

    private static boolean isShown(Open one, List<QuPathViewer> viewers) {
        for (QuPathViewer viewer : viewers)
            if (viewer.getImageData().is(one.data))
                return true
        return false
    }

    private List<String> namesOf(Open one, List<QuPathViewer> viewers) {
        List<String> names = []
        for (QuPathViewer viewer : viewers) {
            String name = viewer.getImageData().is(one.data) ? namer?.nameOf(viewer) : null
            if (name != null)
                names.add(name)
        }
        return names
    }

    private boolean refresh(Open one, List<QuPathViewer> viewers, boolean otherProject) {
        if (otherProject)
            one.identity = identify(one.data) ?: one.identity
        boolean told = false
        List<String> names = namesOf(one, viewers)
        if (!names.equals(one.viewers)) {
            one.viewers = names
            told = true
        }
        long revision = one.revision.get()
        boolean changed = one.data.isChanged()
        if (revision != one.toldRevision) {
            one.toldRevision = revision
            listener.imageEvent("image changed", one)
            told = true
        }
        if (changed != one.changed) {
            one.changed = changed
            if (!changed) {
                noteSaved(one)
                listener.imageEvent("image saved", one)
            }
            told = true
        }
        return told
    }

    private void noteSaved(Open one) {
        String entry = (String) one.identity?.get("entry_id")
        if (entry != null)
            savedHere.add(entry)
    }

    /** Ids of the project's images that this QuPath was seen to save. */
    Set<String> getSavedHere() {
        synchronized (savedHere) {
            return new HashSet<String>(savedHere)
        }
    }

    void close() {
        for (Open one : open.toList())
            one.data.getHierarchy().removeListener(one)
        open.clear()
    }

    @CompileDynamic
    private Map<String, Object> identify(ImageData data) {
        return (Map<String, Object>) Troubles.attempt("image identity") {
            def server = data.getServer()
            def entry = qupath.getProject()?.getEntry(data)
            return [name: entry?.getImageName() ?: server.getMetadata().getName() ?: "",
                    width_px: server.getWidth() as long, height_px: server.getHeight() as long,
                    entry_id: entry?.getID(), uris: server.getURIs().collect { it.toString() }]
        }
    }

    @CompileDynamic
    private String projectUri() {
        def project = qupath.getProject()
        return project == null ? null : project.getURI()?.toString()
    }

    @CompileDynamic
    private static List<Double> pixelSize(ImageData data) {
        def calibration = data.getServer().getPixelCalibration()
        if (!calibration.hasPixelSizeMicrons())
            return null
        return [calibration.getPixelWidthMicrons() as double, calibration.getPixelHeightMicrons() as double]
    }

    @CompileDynamic
    Object entryOf(Open image) {
        return qupath.getProject()?.getEntry(image.data)
    }

    /**
     * Add to QuPath's list the classes that a project got on the disk, and those of objects that came in.
     * QuPath writes its list over the project's with every change: what only the file knew would be gone.
     */
    void learnClasses(Collection<PathObject> objects) {
        Set<PathClass> classes = new LinkedHashSet<>(classesOnDisk())
        for (PathObject object : objects)
            if (object.getPathClass() != null && !object.getPathClass().is(PathClass.NULL_CLASS))
                classes.add(object.getPathClass())
        if (classes)
            Fx.later("the list of classes") {
                List<PathClass> known = qupath.getAvailablePathClasses()
                List<PathClass> fresh = classes.findAll { !known.contains(it) } as List<PathClass>
                if (fresh)
                    known.addAll(fresh)
            }
    }

    @CompileDynamic
    private List<PathClass> classesOnDisk() {
        def file = qupath.getProject()?.getPath()?.resolveSibling("classifiers")?.resolve("classes.json")
        if (file == null || !Files.exists(file))
            return []
        return (List<PathClass>) Troubles.attempt("the project's classes") {
            def listed = (Json.parse(Files.readAllBytes(file)) as Map).pathClasses ?: []
            return listed.findAll { it?.name }.collect { PathClass.fromString(it.name as String, it.color?.intValue()) }
        } ?: []
    }

    Object currentProject() {
        return qupath.getProject()
    }
}
