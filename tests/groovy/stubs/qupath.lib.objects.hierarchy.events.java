package qupath.lib.objects.hierarchy.events;

public class PathObjectHierarchyEvent {
    private PathObjectHierarchyEvent() {}
    public native boolean isChanging();
}

public interface PathObjectHierarchyListener {
    void hierarchyChanged(PathObjectHierarchyEvent event);
}
