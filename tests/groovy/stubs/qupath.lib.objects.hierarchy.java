package qupath.lib.objects.hierarchy;

import java.util.Collection;
import qupath.lib.objects.PathObject;
import qupath.lib.objects.hierarchy.events.PathObjectHierarchyListener;
import qupath.lib.objects.hierarchy.events.PathObjectSelectionModel;

public final class PathObjectHierarchy {
    public native Collection<PathObject> getAllObjects(boolean includeRoot);
    public native boolean addObjects(Collection<? extends PathObject> objects);
    public native void removeObjects(Collection<? extends PathObject> objects, boolean keepChildren);
    public native PathObject getRootObject();
    public native PathObjectSelectionModel getSelectionModel();
    public native void addListener(PathObjectHierarchyListener listener);
    public native void removeListener(PathObjectHierarchyListener listener);
    public native void fireHierarchyChangedEvent(Object source);
}
