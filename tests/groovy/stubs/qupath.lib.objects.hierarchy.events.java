package qupath.lib.objects.hierarchy.events;

import java.util.Collection;
import java.util.List;
import java.util.Set;
import qupath.lib.objects.PathObject;

public class PathObjectHierarchyEvent {
    private PathObjectHierarchyEvent() {}
    public enum HierarchyEventType {
        ADDED, REMOVED
    }
    public native boolean isChanging();
    public native HierarchyEventType getEventType();
    public native List<PathObject> getChangedObjects();
}

public interface PathObjectHierarchyListener {
    void hierarchyChanged(PathObjectHierarchyEvent event);
}

public class PathObjectSelectionModel {
    public native Set<PathObject> getSelectedObjects();
    public native void setSelectedObjects(Collection<? extends PathObject> objects, PathObject main);
}
